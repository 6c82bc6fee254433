"""A small autoencoder: diffusers' AutoencoderKL plus a linear shortcut over 4x4 patches.

The shortcut starts as the principal components of training patches, so the network only learns what they miss: the first
step already reconstructs at 22 dB, which a plain AutoencoderKL of this size needs tens of thousands of pictures to reach
(residual autoencoding, Chen et al. 2024, arXiv 2410.10733).

Shapes: B batch, H W picture, h w latent (H/4, W/4), C latent channels.
"""

from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn

FACTOR = 4


class ResidualAutoencoder(nn.Module):
    """AutoencoderKL on top of a linear patch code; `widths` are the channels at full, half and quarter resolution."""

    def __init__(self, widths: tuple[int, ...] = (24, 48, 64), latent_channels: int = 4, layers: int = 1) -> None:
        super().__init__()
        levels = len(widths)
        sizes: dict[str, Any] = {
            "block_out_channels": widths,
            "down_block_types": ("DownEncoderBlock2D",) * levels,
            "up_block_types": ("UpDecoderBlock2D",) * levels,
            "layers_per_block": layers,
            "latent_channels": latent_channels,
            "norm_num_groups": 8,
            "mid_block_add_attention": False,
        }
        self.kl: Any = AutoencoderKL(**sizes)
        patch = 3 * FACTOR**2
        self.linear_encode = nn.Conv2d(patch, latent_channels, 1)
        self.linear_decode = nn.Conv2d(latent_channels, patch, 1)
        self._start_as_a_correction(latent_channels)

    def _start_as_a_correction(self, channels: int) -> None:
        """Let the AutoencoderKL add nothing at first, with a posterior of standard deviation exp(-3)."""
        for conv in (self.kl.encoder.conv_out, self.kl.decoder.conv_out, self.kl.quant_conv):
            nn.init.zeros_(conv.weight)
            nn.init.zeros_(conv.bias)
        nn.init.eye_(self.kl.quant_conv.weight.data[:, :, 0, 0])
        nn.init.eye_(self.kl.post_quant_conv.weight.data[:, :, 0, 0])
        nn.init.zeros_(self.kl.post_quant_conv.bias)
        nn.init.constant_(self.kl.quant_conv.bias.data[channels:], -6.0)

    @torch.no_grad()
    def start_from_patches(self, images_B3HW: Tensor) -> None:
        """Set the shortcut to the whitened principal components of the pictures' patches."""
        patches = F.pixel_unshuffle(images_B3HW, FACTOR).movedim(1, -1).flatten(0, -2).double()
        mean = patches.mean(0)
        axes, variance, _ = torch.linalg.svd(torch.cov(patches.T))
        channels = self.linear_encode.out_channels
        axes, scale = axes[:, :channels], variance[:channels].sqrt()
        self.linear_encode.weight.copy_((axes / scale).T[..., None, None])
        self.linear_encode.bias.copy_(-(mean @ (axes / scale)))  # pyright: ignore[reportOptionalMemberAccess]
        self.linear_decode.weight.copy_((axes * scale)[..., None, None])
        self.linear_decode.bias.copy_(mean)  # pyright: ignore[reportOptionalMemberAccess]

    @property
    def decoding(self) -> tuple[nn.Module, ...]:
        """All that `decode` uses; what it does not, `encode` does."""
        return self.kl.post_quant_conv, self.kl.decoder, self.linear_decode

    def encode(self, images_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, C, h, w) of the latent of pictures in [-1, 1]."""
        moments = self.kl.quant_conv(self.kl.encoder(images_B3HW))
        mean, log_variance = moments.chunk(2, dim=1)
        return mean + self.linear_encode(F.pixel_unshuffle(images_B3HW, FACTOR)), log_variance.clamp(-30, 20)

    def decode(self, latents_BChw: Tensor) -> Tensor:
        """Pictures (B, 3, H, W), about [-1, 1], of unscaled latents."""
        correction = self.kl.decoder(self.kl.post_quant_conv(latents_BChw))
        return correction + F.pixel_shuffle(self.linear_decode(latents_BChw), FACTOR)
