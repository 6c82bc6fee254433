"""A detector for anything that has a name: OWL-ViT or OWLv2 (Minderer et al. 2022, 2023) by transformers, from a folder.

Shapes: H W picture, P patches, N names.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ditkit.codecs.codec import to_uint8
from ditkit.metrics.detections import Detection
from ditkit.metrics.pretrained import loading, whole

LEAST = 0.1  # the score from which on OWL's authors count a detection


class ZeroShotDetector:
    """Finds things by their names; a patch of the picture is what its most probable name says, if that has at least the score `least`."""

    def __init__(self, folder: str | Path, device: torch.device | str = "cpu", least: float = LEAST) -> None:
        """Raises `CheckpointError` unless the folder holds config.json, safetensors and a tokenizer of an OWL model."""
        self.least = least
        self._device = torch.device(device)
        with loading(f"{folder} holds no OWL-ViT or OWLv2 that transformers reads"):
            self._model, self._tokenizer, self._images = _loaded(str(folder))
        self._model.to(self._device)

    @torch.inference_mode()
    def detect(self, picture_3HW: Tensor, names: Sequence[str]) -> list[Detection]:
        if not names:
            return []
        pixels = self._images(to_uint8(picture_3HW).movedim(0, -1).cpu().numpy(), return_tensors="pt")["pixel_values"]
        words = self._tokenizer([f"a photo of {name}" for name in names], padding="max_length", truncation=True, return_tensors="pt")
        out = self._model(
            input_ids=words["input_ids"].to(self._device),
            attention_mask=words["attention_mask"].to(self._device),
            pixel_values=pixels.to(self._device),
        )
        best_P, name_P = out.logits[0].max(-1)  # before the sigmoid, which rounds large ones to the same
        score_P = best_P.sigmoid()
        found = (score_P >= self.least).nonzero()[:, 0].tolist()
        boxes = self._fractions(out.pred_boxes[0], *picture_3HW.shape[1:])
        return [Detection(names[int(name_P[patch])], float(score_P[patch]), boxes[patch]) for patch in found]

    def _fractions(self, boxes_P4: Tensor, height: int, width: int) -> list[tuple[float, float, float, float]]:
        """From centres and sides, which OWLv2 gives as fractions of a square that its picture fills from the upper left corner."""
        square = self._model.config.model_type == "owlv2"
        scale = torch.tensor([max(height, width) / width, max(height, width) / height] if square else [1.0, 1.0])
        centre, half = boxes_P4[:, :2].cpu() * scale, boxes_P4[:, 2:].cpu() * scale / 2
        corners = torch.cat([centre - half, centre + half], dim=1).clamp(0, 1).double()
        return [(left, top, right, bottom) for left, top, right, bottom in corners.tolist()]


def _loaded(folder: str) -> tuple[Any, Any, Any]:
    """Model, tokenizer and what makes pictures ready; the picture half needs no torchvision."""
    from transformers import (
        AutoConfig,
        AutoModelForZeroShotObjectDetection,
        AutoTokenizer,
        Owlv2ImageProcessorPil,
        OwlViTImageProcessorPil,
    )

    processors = {"owlvit": OwlViTImageProcessorPil, "owlv2": Owlv2ImageProcessorPil}
    if not Path(folder).is_dir():
        raise OSError("no such folder")
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    if config.model_type not in processors:
        raise ValueError(f"its config.json is of a {config.model_type}")
    model = whole(AutoModelForZeroShotObjectDetection, folder, use_safetensors=True)
    side = config.vision_config.image_size
    return (
        model,
        AutoTokenizer.from_pretrained(folder, local_files_only=True),
        processors[config.model_type](size={"height": side, "width": side}),
    )
