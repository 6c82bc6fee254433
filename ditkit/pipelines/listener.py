"""A run of a pipeline without a plan, listened to at its denoiser."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ditkit.pipelines.choice import Recorded
from ditkit.pipelines.clock import Grid
from ditkit.pipelines.denoiser import Denoiser, input_of, time_of
from ditkit.pipelines.outputs import packed


class Listener:
    """Notes what the denoiser is told and returns in a run, and which part of its outputs decides the run."""

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self.times: list[float] = []
        self._given: list[Any] = []
        self._made: list[Tensor] = []
        self._variance = False

    def __call__(self, call: Callable[[], Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.times.append(time_of(self._denoiser.module, args, kwargs))
        noisy = input_of(self._denoiser.module, args, kwargs)
        self._given.append(noisy.clone() if isinstance(noisy, Tensor) else noisy)
        returned = call()
        output = packed(returned)[0]
        self._variance = (
            isinstance(noisy, Tensor) and output.ndim > 2 and output.shape == (noisy.shape[0], 2 * noisy.shape[1], *noisy.shape[2:])
        )
        self._made.append(self.counted(output).clone())  # a copy: a pipeline may go on to change what it was given
        return returned

    def counted(self, output: Tensor) -> Tensor:
        """All of it, or the noise alone where a learned variance comes along in as many channels again."""
        return output.chunk(2, dim=1)[0] if self._variance else output

    def recorded(self, grid: Grid) -> Recorded | None:
        """What is kept of the run, which must be one of this grid; None where what the denoiser is given is not of its outputs' size."""
        if Grid.of(self.times) != grid or any(not isinstance(given, Tensor) for given in self._given):
            return None
        size = self._made[0].shape
        given = [each if each.shape == size else each[:, : size[1]] if len(size) > 1 else each for each in self._given]
        if any(each.shape != size for each in (*given, *self._made)):  # more channels are those of a picture that is given besides
            return None
        each_step = range(0, grid.length, grid.calls)
        return Recorded.of([given[at] for at in each_step], [self._made[at : at + grid.calls] for at in each_step])
