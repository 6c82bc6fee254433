"""What torch and trainers put before the names of a network's weights."""

from collections.abc import Mapping

from torch import Tensor

AROUND = ("module", "base_model", "model", "network", "net", "ema_model", "online_model", "model_ema", "ema")  # before a whole network
WITHIN = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module", "module")  # that torch, Lightning and
# accelerate put around any part of one


def unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same weights under the network's own names.

    Numbers that a wrapper keeps for itself ("n_averaged") are left out. A state in which two names would become one stays as it is.
    """
    names = {name: _own(name) for name in state}
    wrapped = any(own != name for name, own in names.items())
    if not wrapped or len(set(names.values())) < len(names):
        return dict(state)
    return {own: state[name] for name, own in names.items() if "." in name or state[name].ndim > 0}


def _own(name: str) -> str:
    words = [word for word in name.split(".") if word not in WITHIN]
    while len(words) > 1 and words[0] in AROUND:
        words = words[1:]
    return ".".join(words) or name
