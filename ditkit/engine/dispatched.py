"""What is launched: operators that do something, and the memory they move; seen on any device, a pretended one too."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Dispatched(TorchDispatchMode):
    """Counts the operators dispatched in its context that are no mere views, by name, and the bytes they read and write.

    An operator's bytes are those of its tensors, each once, broadcast dimensions as they lie in memory: what it would move at least, were
    nothing fused or cached. Use without gradients: with them an operator is seen before it is taken apart.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operators: Counter[str] = Counter()
        self.bytes = 0

    @property
    def launches(self) -> int:
        return self.operators.total()

    def __torch_dispatch__(self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        call: Callable[..., Any] = func
        out = call(*args, **(kwargs or {}))
        written = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        if (written or _changes(func)) and not _only_views(func):
            self.operators[str(func)] += 1
            touched = {id(leaf): leaf for leaf in (*tree_leaves((args, kwargs)), *written) if isinstance(leaf, Tensor)}
            self.bytes += sum(map(_bytes, touched.values()))
        return out


def _changes(func: Any) -> bool:
    """Whether something that is given is written over."""
    return any(each.alias_info is not None and each.alias_info.is_write for each in func._schema.arguments)


def _only_views(func: Any) -> bool:
    """Whether all that is returned is what was given, unchanged, in another shape."""
    aliases = [each.alias_info for each in func._schema.returns]
    return (bool(aliases) and all(alias is not None and not alias.is_write for alias in aliases)) or "_unsafe_view" in func.name()


def _bytes(value: Tensor) -> int:
    size = value.element_size()
    for length, stride in zip(value.shape, value.stride(), strict=True):
        size *= length if stride else 1
    return size
