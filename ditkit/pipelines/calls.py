"""Seeing every call of an object, and answering in its stead, without touching what it is made of.

While it is watched, an object is of a subclass of its own class that differs in `__call__` alone. So whatever has been put around its
`forward` (compiled code, weights that are moved to the device for a call, other libraries' hooks) stays as it is, and is left alone where
a call is answered without it. PyTorch's own forward hooks see a call but cannot spare it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

Around = Callable[[Callable[[], Any], tuple[Any, ...], dict[str, Any]], Any]
"""Told how to make the call and its arguments, returns its result; need not make it."""


@contextmanager
def watched(called: Any, around: Around, *, alone: bool = False) -> Iterator[None]:
    """Let `around` answer the calls of an object. Contexts may be left in any order.

    Of several the last is asked first, and what it calls is the one before it; or, if it is to be `alone`, the object itself.
    """
    own = type(called)
    if not hasattr(own, "_ditkit_around"):
        own = _watched_class(own)
        object.__setattr__(called, "__class__", own)  # a compiled module would set it on what it wraps
    own._ditkit_around.append((around, alone))
    try:
        yield
    finally:
        own._ditkit_around.remove((around, alone))
        if not own._ditkit_around:
            object.__setattr__(called, "__class__", own.__base__)


def _watched_class(own: type) -> Any:
    """A subclass for one object, under the same name."""
    arounds: list[tuple[Around, bool]] = []

    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        def itself() -> Any:
            return own.__call__(self, *args, **kwargs)

        make: Callable[[], Any] = itself
        for around, alone in arounds:
            make = partial(around, itself if alone else make, args, kwargs)
        return make()

    names = {name: getattr(own, name) for name in ("__module__", "__qualname__", "__doc__")}
    return type(own.__name__, (own,), {**names, "__call__": __call__, "_ditkit_around": arounds})
