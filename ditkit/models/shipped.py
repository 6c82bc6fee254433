"""The small models that were trained for ditkit and whose weights ship with it, as data."""

from ditkit.files.weights import WeightSource
from ditkit.models.dit import DiTParams
from ditkit.models.dit3d import DiT3DParams
from ditkit.models.pixart import PixArtParams
from ditkit.models.sit import SiTParams
from ditkit.models.spec import Defaults, ModelSpec
from ditkit.models.uvit import UViTParams

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


SIT_EMOJI = ModelSpec(
    name="sit-emoji",
    family="sit",
    params=SiTParams(  # dit-emoji's network, told the levels that it was told
        width=192, depth=12, heads=6, patch=2, input_size=16, classes=111, learn_sigma=False, clock="levels"
    ),
    schedule="linear-flow",
    codec="ae-emoji",
    image_size=64,
    guided_channels=4,
    defaults=Defaults(solver="heun", steps=20, guidance=2.0),
    classes="emoji",
    prediction="velocity",
)

SHAPES = ModelSpec(
    name="dit3d-shapes",
    family="dit3d",
    params=DiT3DParams(width=192, depth=12, heads=6, patch=8, input_size=32, classes=5),  # blocks of dit-emoji's size, 64 tokens
    schedule="linear",
    codec="points",
    image_size=0,
    guided_channels=3,
    # From time 0.7: above it its errors, times 1 / alpha, are all there is. With noise on the way, as pixart-emoji.
    defaults=Defaults(solver="dpm-solver++", steps=25, guidance=1.0, start=0.7, eta=1.0, reuse_eta=0.0),
    weights=WeightSource(asset="dit3d-shapes.safetensors", licence="research use only"),
    classes="shapes",
    points=2048,
)


PIXART_EMOJI = ModelSpec(
    name="pixart-emoji",
    family="pixart",
    params=PixArtParams(  # blocks of dit-emoji's size; grown from 96 pixels
        width=192, depth=12, heads=6, patch=2, input_size=32, caption_width=128, caption_tokens=32, interpolation=4 / 3
    ),
    schedule="linear",
    codec="ae-emoji",
    image_size=128,
    guided_channels=8,
    # From time 0.75 (above, abar < 0.004 tells it next to nothing) and even in log-SNR: the grounded half then decides most of a picture.
    # With noise on the way, which covers up what so small a network errs at early steps.
    defaults=Defaults(solver="dpm-solver++", steps=20, guidance=2.0, start=0.75, grid="logsnr", eta=0.5),
    weights=WeightSource(asset="pixart-emoji-128.safetensors", licence="Apache-2.0"),
    object_size=64,
    text="t5-emoji",
)

SHIPPED = [*EMOJI, SIT_EMOJI, PIXART_EMOJI, SHAPES]
