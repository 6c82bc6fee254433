"""A codec takes pictures to the latents a model denoises, and back.

Shapes: B batch, H W picture, C latent channels, h w latent (H, W over the codec's factor).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from ditkit.errors import RequestError

SLICE_PIXELS = 4 * 512 * 512  # pictures are coded in slices of about this many pixels, which bounds the memory


class Autoencoder(Protocol):
    """The network inside a codec; its latents are unscaled. Every module in `codecs` that has these methods is one."""

    def encode(self, images_B3HW: Tensor, /) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, C, h, w)."""
        ...

    def decode(self, latents_BChw: Tensor, /) -> Tensor: ...

    def to(self, *args: Any, **kwargs: Any) -> Any: ...

    def parameters(self) -> Any: ...


@dataclass(frozen=True)
class Codec:
    """`scale` takes the autoencoder's latents to the unit variance that models are trained on; `origin` is for manifests."""

    name: str
    module: Autoencoder
    factor: int
    channels: int
    scale: float
    origin: Mapping[str, Any] = field(default_factory=dict)

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "Codec":
        """The same codec after moving its network there (in place, as torch does)."""
        self.module.to(device, dtype)
        return self

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(C, h, w) of a picture's latent; raises `RequestError` unless both sides are multiples of the factor."""
        if height % self.factor or width % self.factor:
            raise RequestError(f"{self.name} codes pictures whose sides are multiples of {self.factor}, not {height}x{width}")
        return self.channels, height // self.factor, width // self.factor

    def encode(self, images_B3HW: Tensor, noise_BChw: Tensor | None = None) -> Tensor:
        """Scaled float32 latents of pictures in [-1, 1]: the posterior's mean, or a sample of it made with unit `noise`."""
        self.latent_shape(*images_B3HW.shape[-2:])

        def encode_slice(part: slice) -> Tensor:
            mean, log_variance = self.module.encode(self._ready(images_B3HW[part]))
            if noise_BChw is None:
                return mean.float() * self.scale
            deviation = (0.5 * log_variance.float()).exp()
            return (mean.float() + deviation * noise_BChw[part].to(deviation)) * self.scale

        return _in_slices(encode_slice, len(images_B3HW), images_B3HW.shape[-2] * images_B3HW.shape[-1])

    def decode(self, latents_BChw: Tensor) -> Tensor:
        """Float32 pictures, about [-1, 1], of scaled latents."""
        pixels = latents_BChw.shape[-2] * latents_BChw.shape[-1] * self.factor**2

        def decode_slice(part: slice) -> Tensor:
            return self.module.decode(self._ready(latents_BChw[part].float() / self.scale)).float()

        return _in_slices(decode_slice, len(latents_BChw), pixels)

    def _ready(self, values: Tensor) -> Tensor:
        own = next(iter(self.module.parameters()), None)
        return values if own is None else values.to(own.device, own.dtype)


def _in_slices(code: Callable[[slice], Tensor], count: int, pixels: int) -> Tensor:
    length = max(1, SLICE_PIXELS // pixels)
    parts = [code(slice(first, first + length)) for first in range(0, max(count, 1), length)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def to_uint8(images_B3HW: Tensor) -> Tensor:
    """uint8 pictures of [-1, 1] ones by DiT's published rule: clamp(127.5 x + 128, 0, 255), truncated."""
    return (127.5 * images_B3HW.float() + 128).clamp(0, 255).to(torch.uint8)


def from_uint8(pixels: Tensor) -> Tensor:
    """Pictures in [-1, 1], float32, of uint8 ones of any shape."""
    return pixels.float() / 127.5 - 1
