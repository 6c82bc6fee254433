"""The models that papers published, as data: their sizes, what they are sampled with by default, and where their weights are."""

from dataclasses import replace
from typing import Any

from ditkit.files.weights import WeightSource
from ditkit.models.dit import SIZES, DiTParams
from ditkit.models.dit3d import SIZES as SIZES_3D
from ditkit.models.dit3d import DiT3DParams
from ditkit.models.pixart import SIZES as PIXART_SIZES
from ditkit.models.pixart import PixArtParams
from ditkit.models.sit import SiTParams
from ditkit.models.spec import Defaults, ModelSpec
from ditkit.models.uvit import UViTParams

DIT_LICENCE = "CC-BY-NC-4.0 (non-commercial)"
UVIT_PAGE = "https://github.com/baofff/U-ViT#pretrained-models"
DIT3D_CHAIR = WeightSource(page="https://github.com/DiT-3D/DiT-3D (DiT-3D-S/4, chair)", licence="see its page")


def _dit(size: str, patch: int, image: int) -> ModelSpec:
    hub = f"facebook/DiT-XL-2-{image}" if (size, patch) == ("xl", 2) else None
    return ModelSpec(
        name=f"dit-{size}-{patch}-{image}",
        family="dit",
        params=DiTParams(**SIZES[size], patch=patch, input_size=image // 8),
        schedule="linear",
        codec="sd-vae-ft-ema",
        image_size=image,
        guided_channels=3,  # the published sampler leaves the fourth latent channel unguided
        defaults=Defaults(solver="ddim", steps=50, guidance=4.0),
        weights=WeightSource(hub=hub, licence=DIT_LICENCE if hub else "yours"),
        classes="imagenet",
    )


SIT_PAGE = "https://github.com/willisma/SiT (SiT-XL-2-256x256.pt)"
REPA_PAGE = "https://github.com/sihyun-yu/REPA (last.pt)"


def _sit(size: str, patch: int, image: int) -> ModelSpec:
    """A SiT as it is trained by default: velocities on the linear path."""
    published = (size, patch, image) == ("xl", 2, 256)
    return ModelSpec(
        name=f"sit-{size}-{patch}-{image}",
        family="sit",
        params=SiTParams(**SIZES[size], patch=patch, input_size=image // 8),
        schedule="linear-flow",
        codec="sd-vae-ft-ema",
        image_size=image,
        guided_channels=3,  # as DiT
        defaults=Defaults(solver="heun", steps=50, guidance=4.0),
        weights=WeightSource(page=SIT_PAGE, licence="MIT") if published else WeightSource(),
        classes="imagenet",
        prediction="velocity",
    )


def _repa(size: str) -> ModelSpec:
    """A SiT trained with REPA: its time is reversed and all channels are guided; the projectors that only training uses are dropped."""
    sit = _sit(size, 2, 256)
    return replace(
        sit,
        name=f"{sit.name}-repa",
        params=SiTParams(**SIZES[size], patch=2, input_size=32, learn_sigma=False, clock="noise"),
        guided_channels=4,
        defaults=Defaults(solver="euler-maruyama", steps=250, guidance=1.8),
        weights=WeightSource(page=REPA_PAGE, licence="MIT") if size == "xl" else WeightSource(),
        prediction="reversed velocity",
        drops=("projectors.",),
    )


SITS = [
    *(_sit(size, patch, image) for image in (256, 512) for size in SIZES for patch in (2, 4, 8)),
    *(_repa(size) for size in ("b", "l", "xl")),
]

UVIT_SIZES: dict[str, dict[str, Any]] = {
    "small": {"width": 512, "depth": 12, "heads": 8},
    "mid": {"width": 768, "depth": 16, "heads": 12},
    "large": {"width": 1024, "depth": 20, "heads": 16},
    "huge": {"width": 1152, "depth": 28, "heads": 16, "conv": False},
}
_PIXELS: dict[str, Any] = {"channels": 3, "input_size": 64, "patch": 4}
_LABELS: dict[str, Any] = {"classes": 1000, "null_class": True}


def _uvit(name: str, data: str, size: str, image: int, guidance: float = 1.0, **grid: Any) -> ModelSpec:
    """A published U-ViT, in the file `<data>_uvit_<size>.pth`."""
    params = UViTParams(**UVIT_SIZES[size], **grid)
    return ModelSpec(
        name=name,
        family="uvit",
        params=params,
        schedule="scaled-linear" if size == "huge" else "linear",  # the others were trained on the continuous VP schedule
        codec="sd-vae-ft-ema" if params.channels == 4 else "pixels",
        image_size=image,
        guided_channels=params.channels,
        defaults=Defaults(solver="dpm-solver-2", steps=50, guidance=guidance),
        weights=WeightSource(page=f"{UVIT_PAGE} ({data}_uvit_{size}.pth)", licence="MIT"),
        classes="imagenet" if params.classes else None,
        published_guidance_offset=1.0,
    )


UVITS = [
    _uvit("uvit-cifar10-s-2", "cifar10", "small", 32, channels=3, input_size=32, patch=2),
    _uvit("uvit-celeba64-s-4", "celeba", "small", 64, **_PIXELS),
    _uvit("uvit-m-4-64", "imagenet64", "mid", 64, **_PIXELS, classes=1000),
    _uvit("uvit-l-4-64", "imagenet64", "large", 64, **_PIXELS, classes=1000),
    _uvit("uvit-l-2-256", "imagenet256", "large", 256, 1.4, **_LABELS, input_size=32, patch=2),
    _uvit("uvit-h-2-256", "imagenet256", "huge", 256, 1.4, **_LABELS, input_size=32, patch=2),
    _uvit("uvit-l-4-512", "imagenet512", "large", 512, 1.7, **_LABELS, input_size=64, patch=4),
    _uvit("uvit-h-4-512", "imagenet512", "huge", 512, 1.7, **_LABELS, input_size=64, patch=4),
]

WINDOW = 4  # tokens along a window's side, as in the paper


def _dit3d(
    size: str,
    patch: int,
    voxels: int,
    variant: str = "",
    *,
    classes: int = 1,
    schedule: str = "linear",
    every: int = 0,
) -> ModelSpec:
    """A DiT-3D on a grid of `voxels`^3, of one category unless `classes` says otherwise; one block in `every` attends in windows."""
    name = f"dit3d-{size}-{patch}-{voxels}{variant}"
    return ModelSpec(
        name=name,
        family="dit3d",
        params=DiT3DParams(
            **SIZES_3D[size],
            patch=patch,
            input_size=voxels,
            classes=classes,
            window=WINDOW if every else 0,
            window_blocks=tuple(range(0, SIZES_3D[size]["depth"], every)) if every else (),
        ),
        schedule=schedule,
        codec="points",
        image_size=0,
        guided_channels=3,
        defaults=Defaults(solver="ddim", steps=50, guidance=1.0),  # published: 1000 steps of ddpm with variance fixedsmall
        weights=DIT3D_CHAIR if name == "dit3d-s-4-32" else WeightSource(),
        points=2048,
    )


DIT3DS = [
    *(_dit3d(size, patch, voxels) for voxels in (16, 32, 64) for size in SIZES_3D for patch in (2, 4, 8)),
    *(_dit3d(size, 4, 32, "-airplane", schedule="warm") for size in SIZES_3D),  # the paper trains on them with another schedule
    *(_dit3d(size, 4, 32, "-all", classes=55) for size in SIZES_3D),  # every category of ShapeNet
    *(_dit3d("s", 4, voxels, "-windows", every=3) for voxels in (32, 64)),  # blocks 0, 3, 6 and 9, as in the paper
    *(_dit3d("s", 4, voxels, "-windows-only", every=1) for voxels in (32, 64)),
]


def _pixart(image: int, hub: str) -> ModelSpec:
    """A published PixArt-alpha XL/2; the largest is told the picture's size, and its positions are those of 512 pixels."""
    multi_scale = image == 1024
    return ModelSpec(
        name=f"pixart-xl-2-{image}{'-ms' if multi_scale else ''}",
        family="pixart",
        params=PixArtParams(
            **PIXART_SIZES["xl"],
            patch=2,
            input_size=image // 8,
            micro_conditions=multi_scale,
            interpolation=2.0 if multi_scale else 1.0,
        ),
        schedule="linear",
        codec="sd-vae-ft-ema",
        image_size=image,
        guided_channels=8,  # all: the published sampler guides before it drops the variance
        defaults=Defaults(solver="dpm-solver++", steps=20, guidance=4.5),
        weights=WeightSource(hub=f"PixArt-alpha/PixArt-XL-2-{hub}", licence="openrail++"),
        text="t5-v1.1-xxl",
    )


def _pixart_sigma(image: int, hub: str) -> ModelSpec:
    """A published PixArt-Sigma XL/2 (Chen et al. 2024): alpha's network, told no sizes, on longer prompts and SDXL's latents."""
    return ModelSpec(
        name=f"pixart-sigma-xl-2-{hub.lower().replace('256x256', '256')}",
        family="pixart",
        params=PixArtParams(
            **PIXART_SIZES["xl"],
            patch=2,
            input_size=image // 8,
            caption_tokens=300,
            interpolation=image / 512,  # every one spans the positions of 512 pixels
        ),
        schedule="linear",
        codec="sdxl-vae",
        image_size=image,
        guided_channels=8,  # as alpha
        defaults=Defaults(solver="dpm-solver++", steps=20, guidance=4.5),
        weights=WeightSource(hub=f"PixArt-alpha/PixArt-Sigma-XL-2-{hub}", licence="see its page"),
        text="t5-v1.1-xxl-300",
        pipeline="PixArtSigmaPipeline",
    )


PIXARTS = [
    *(_pixart(256, "256x256"), _pixart(512, "512x512"), _pixart(1024, "1024-MS")),
    *(_pixart_sigma(256, "256x256"), _pixart_sigma(512, "512-MS"), _pixart_sigma(1024, "1024-MS"), _pixart_sigma(2048, "2K-MS")),
]

DITS = [_dit(size, patch, image) for image in (256, 512) for size in SIZES for patch in (2, 4, 8)]

PUBLISHED = [*DITS, *SITS, *UVITS, *DIT3DS, *PIXARTS]
