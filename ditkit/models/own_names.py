"""A network's weights under its own names, out of whatever module of a training it was saved with."""

from collections.abc import Mapping

from torch import Tensor

from ditkit.files.tensors import State
from ditkit.files.wrappers import WITHIN, unwrapped

PATCHES = ("x_embedder.proj.weight", "patch_embed.proj.weight", "pos_embed.proj.weight")
"""What every network has one of: its patch embedding, as its paper or diffusers calls it."""


def own_names(state: Mapping[str, Tensor]) -> tuple[State, str | None]:
    """The weights of the one network in a module, and a line about what else lies beside it, if anything does.

    The network is the part with a patch embedding, whatever it is called; a state with several such parts, or none, is as `unwrapped`.
    """
    names = {".".join(word for word in name.split(".") if word not in WITHIN): name for name in state}
    parts = {name.removesuffix(patches) for patches in PATCHES for name in names if name.endswith(patches)}
    part = parts.pop() if len(parts) == 1 else ""
    if not part.endswith(".") or len(names) < len(state):
        return unwrapped(state), None
    own = {name: state[names[part + name]] for name in (each.removeprefix(part) for each in names if each.startswith(part))}
    others = sorted({name.partition(".")[0] for name in names if not name.startswith(part) and state[names[name]].ndim})
    return own, f"taken is its part {part[:-1]}, and left out {', '.join(others)}" if others else None
