"""The one list of models. A name here is what `--model` takes; a Hydra group names an entry and never restates it."""

from collections.abc import Callable
from typing import Any

from torch import nn

from ditkit.errors import UnknownName
from ditkit.models.dit import SIZES, DiT, DiTParams
from ditkit.models.spec import Defaults, ModelSpec
from ditkit.models.uvit import UViT, UViTParams
from ditkit.weights import WeightSource

FAMILIES: dict[str, Callable[[Any], nn.Module]] = {"dit": DiT, "uvit": UViT}

DIT_LICENCE = "CC-BY-NC-4.0 (non-commercial)"
UVIT_PAGE = "https://github.com/baofff/U-ViT#pretrained-models"


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


def _uvit(name: str, params: UViTParams, *, image: int, file: str, guidance: float = 1.0, schedule: str = "linear") -> ModelSpec:
    return ModelSpec(
        name=name,
        family="uvit",
        params=params,
        schedule=schedule,
        codec="sd-vae-ft-ema" if params.channels == 4 else "pixels",
        image_size=image,
        guided_channels=params.channels,
        defaults=Defaults(solver="dpm-solver-2", steps=50, guidance=guidance),
        weights=WeightSource(page=f"{UVIT_PAGE} ({file})", licence="MIT"),
        classes="imagenet" if params.classes else None,
        published_guidance_offset=1.0,
    )


def _uvit_models() -> list[ModelSpec]:
    small, medium = {"width": 512, "depth": 12, "heads": 8}, {"width": 768, "depth": 16, "heads": 12}
    large, huge = {"width": 1024, "depth": 20, "heads": 16}, {"width": 1152, "depth": 28, "heads": 16}
    labels = {"classes": 1000, "null_class": True}
    pixels = {"channels": 3, "input_size": 64, "patch": 4}
    latent = {"input_size": 32, "patch": 2}
    wide = {"input_size": 64, "patch": 4}
    discrete = "scaled-linear"  # the H models were trained on Stable Diffusion's schedule, all others on the continuous VP one
    return [
        _uvit("uvit-cifar10-s-2", UViTParams(**small, channels=3, input_size=32, patch=2), image=32, file="cifar10_uvit_small.pth"),
        _uvit("uvit-celeba64-s-4", UViTParams(**small, **pixels), image=64, file="celeba_uvit_small.pth"),
        _uvit("uvit-m-4-64", UViTParams(**medium, **pixels, classes=1000), image=64, file="imagenet64_uvit_mid.pth"),
        _uvit("uvit-l-4-64", UViTParams(**large, **pixels, classes=1000), image=64, file="imagenet64_uvit_large.pth"),
        _uvit("uvit-l-2-256", UViTParams(**large, **latent, **labels), image=256, file="imagenet256_uvit_large.pth", guidance=1.4),
        _uvit("uvit-h-2-256", UViTParams(**huge, **latent, **labels, conv=False), image=256, file="imagenet256_uvit_huge.pth", guidance=1.4, schedule=discrete),
        _uvit("uvit-l-4-512", UViTParams(**large, **wide, **labels), image=512, file="imagenet512_uvit_large.pth", guidance=1.7),
        _uvit("uvit-h-4-512", UViTParams(**huge, **wide, **labels, conv=False), image=512, file="imagenet512_uvit_huge.pth", guidance=1.7, schedule=discrete),
    ]


EMOJI = [
    ModelSpec(
        name="dit-emoji",
        family="dit",
        params=DiTParams(width=192, depth=12, heads=6, patch=2, input_size=16, classes=111),
        schedule="linear",
        codec="ae-emoji",
        image_size=64,
        guided_channels=4,
        defaults=Defaults(solver="ddim", steps=20, guidance=2.0),
        weights=WeightSource(asset="dit-emoji.safetensors", licence="Apache-2.0"),
        classes="emoji",
    ),
    ModelSpec(
        name="uvit-emoji",
        family="uvit",
        params=UViTParams(width=192, depth=12, heads=6, patch=2, input_size=16, classes=111, null_class=True, conv=False),
        schedule="scaled-linear",
        codec="ae-emoji",
        image_size=64,
        guided_channels=4,
        defaults=Defaults(solver="dpm-solver-2", steps=20, guidance=2.0),
        weights=WeightSource(asset="uvit-emoji.safetensors", licence="Apache-2.0"),
        classes="emoji",
        published_guidance_offset=1.0,
    ),
]

_MODELS = [*EMOJI, *(_dit(size, patch, image) for image in (256, 512) for size in SIZES for patch in (2, 4, 8)), *_uvit_models()]

SPECS: dict[str, ModelSpec] = {spec.name: spec for spec in _MODELS}


def find(name: str) -> ModelSpec:
    """The model of that name; raises `UnknownName` with the nearest one."""
    if name not in SPECS:
        raise UnknownName("model", name, SPECS)
    return SPECS[name]


def build(spec: ModelSpec) -> Any:
    """The backbone with fresh weights, as its paper initialises it."""
    return FAMILIES[spec.family](spec.params)
