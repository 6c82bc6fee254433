"""What is stated about weights is compared with what their shapes show, before a network is built of it."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ditkit.errors import CheckpointError
from ditkit.models.identify import identify
from ditkit.models.pixart import PixArtParams
from ditkit.models.spec import Params
from ditkit.models.uvit import UViTParams

SHOWN = ("width", "depth", "patch", "channels", "mlp_ratio", "learn_sigma", "caption_width", "micro_conditions", "conv", "qkv_bias")


def check_stated(stated: Params, state: Mapping[str, Tensor], path: Path, where: str) -> None:
    """Raise `CheckpointError` where the numbers that are stated, as by "its config.json", are not those of the weights.

    Of weights that are those of no network nothing is said: whoever loads them says what is missing.
    """
    shown = identify(state)
    if shown is None:
        return
    names = [*SHOWN, "label_rows" if isinstance(shown, UViTParams) else "classes"]
    if "pos_embed" in state and not isinstance(shown, PixArtParams):
        names.append("input_size")
    for name in (name for name in names if hasattr(stated, name) and hasattr(shown, name)):
        said, real = getattr(stated, name), getattr(shown, name)
        if said != real:
            word = name.replace("_", " ")
            raise CheckpointError(f"{path} contradicts itself: {where} says {word} {said!r:.40}, and the weights have {word} {real}")
    heads = stated.heads
    if isinstance(heads, bool) or not isinstance(heads, int) or heads < 1 or shown.width % heads:
        raise CheckpointError(f"{path} contradicts itself: {where} says {heads!r:.40} heads, which do not divide its width {shown.width}")
