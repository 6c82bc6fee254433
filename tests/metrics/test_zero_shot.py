"""A tiny OWL with random weights: its boxes and scores are those of transformers' own reading of its outputs."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ditkit.codecs.codec import to_uint8
from ditkit.errors import CheckpointError
from ditkit.metrics.grounding import DetectorJudge
from ditkit.metrics.zero_shot import ZeroShotDetector
from tests.closeness import evaluated, near

TEXT = {"vocab_size": 60, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
VISION = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(params=["owlvit", "owlv2"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """As transformers writes a model."""
    import transformers

    name = {"owlvit": "OwlViT", "owlv2": "Owlv2"}[request.param]
    kind: Any = getattr(transformers, f"{name}Config")
    words = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    ends = {"bos_token_id": len(words) - 2, "eos_token_id": len(words) - 1, "pad_token_id": 0}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = kind(text_config={**TEXT, **ends}, vision_config=VISION, projection_dim=16)
        model = getattr(transformers, f"{name}ForObjectDetection")(config)
    model.save_pretrained(tmp_path)
    (tmp_path / "vocab.json").write_text(json.dumps({word: place for place, word in enumerate(words)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 16, "pad_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    tokenizer |= {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return tmp_path


def test_boxes_and_scores_are_those_of_transformers_own_reading(folder: Path) -> None:
    from transformers import AutoModelForZeroShotObjectDetection, AutoTokenizer, Owlv2ImageProcessorPil, OwlViTImageProcessorPil

    picture = torch.rand(3, 40, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    found = ZeroShotDetector(folder, least=0.0).detect(picture, ["a cat", "the sun"])
    model = AutoModelForZeroShotObjectDetection.from_pretrained(folder).eval()
    square = model.config.model_type == "owlv2"
    processor: Any = (Owlv2ImageProcessorPil if square else OwlViTImageProcessorPil)(size={"height": 32, "width": 32})
    pixels = processor(to_uint8(picture).movedim(0, -1).numpy(), return_tensors="pt")["pixel_values"]
    words = AutoTokenizer.from_pretrained(folder)(
        ["a photo of a cat", "a photo of the sun"], padding="max_length", truncation=True, return_tensors="pt"
    )
    with torch.no_grad():
        out = model(**words, pixel_values=pixels)
    [expected] = processor.post_process_object_detection(out, threshold=0.0, target_sizes=[(40, 64)])
    assert len(found) == len(expected["scores"]) == 16
    for detection, score, label, box in zip(found, expected["scores"], expected["labels"], expected["boxes"], strict=True):
        assert detection.score == near(float(score), evaluated(model), torch.float32)
        assert detection.name == ["a cat", "the sun"][int(label)]
        scaled = (box / torch.tensor([64.0, 40.0, 64.0, 40.0])).clamp(0, 1).tolist()
        assert detection.box == near(scaled, evaluated(model), torch.float32, size=1)


def test_it_judges_boxes(folder: Path) -> None:
    judge = DetectorJudge(ZeroShotDetector(folder, least=0.0))
    verdicts = judge.judge(torch.zeros(3, 32, 32), ["cat", "sun"], [(0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 0.1, 0.1)])
    assert len(verdicts) == 2 and all(0 <= verdict.overlap <= 1 for verdict in verdicts)
    assert ZeroShotDetector(folder, least=1.1).detect(torch.zeros(3, 32, 32), ["cat"]) == []
    assert ZeroShotDetector(folder).detect(torch.zeros(3, 32, 32), []) == []


def test_a_folder_of_something_else_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="gone holds no OWL-ViT or OWLv2 that transformers reads: no such folder$"):
        ZeroShotDetector(tmp_path / "gone")
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(CheckpointError, match=r"holds no OWL-ViT or OWLv2 that transformers reads: its config\.json is of a t5$"):
        ZeroShotDetector(tmp_path)


def test_weights_that_are_not_whole_are_refused_in_one_line(folder: Path) -> None:
    file, said = folder / "model.safetensors", "holds no OWL-ViT or OWLv2 that transformers reads: "
    whole = load_file(file)
    first, *others = sorted(whole)
    save_file({name: whole[name] for name in others}, file, {"format": "pt"})
    with pytest.raises(CheckpointError, match=f"{said}it lacks 1 tensors, first {first}$"):
        ZeroShotDetector(folder)
    save_file({**whole, first: torch.zeros(1, 2, 3)}, file, {"format": "pt"})
    with pytest.raises(CheckpointError, match=f"{said}RuntimeError: "):
        ZeroShotDetector(folder)
    file.write_bytes(b"torn")
    with pytest.raises(CheckpointError, match=f"{said}SafetensorError: "):
        ZeroShotDetector(folder)
