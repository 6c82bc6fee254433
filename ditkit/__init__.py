"""ditkit: sample, cache, control, train and measure diffusion transformers.

    import ditkit
    model = ditkit.load("dit-emoji")
    images = ditkit.sample(model, classes=["fox", "rocket"], steps=20, seeds=[0, 1])

Nothing heavy is imported before it is used.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

    from ditkit.cache.plan import CachePlan
    from ditkit.engine.model import Model
    from ditkit.pipelines.accelerate import accelerate
    from ditkit.pipelines.calibrate import calibrate

__version__ = "0.1.0"
__all__ = ["__version__", "accelerate", "calibrate", "load", "sample"]


def __getattr__(name: str) -> Any:
    """`accelerate` and `calibrate`, imported when they are used."""
    if name in ("accelerate", "calibrate"):
        return getattr(import_module(f"ditkit.pipelines.{name}"), name)
    raise AttributeError(f"module 'ditkit' has no attribute '{name}'")


def load(
    model: str = "dit-emoji",
    weights: str | None = None,
    *,
    device: str = "auto",
    precision: str = "float32",
    revision: str | None = None,
    codec: str | None = None,
    lora: Sequence[str] = (),
) -> "Model":
    """A model of the registry with its weights and codec, ready to sample.

    `weights` is a checkpoint to use instead of the model's own, or "random"; `codec` likewise for its autoencoder; `lora` are adapters to
    merge, each FILE or FILE:SCALE. Raises `ditkit.errors.DitkitError` with the way out when the name is unknown or the weights cannot
    be had.
    """
    from ditkit.config.schema import CodecConfig, RuntimeConfig, SampleConfig
    from ditkit.tasks.shared import build

    runtime = RuntimeConfig(device=device, precision=precision)
    own = CodecConfig(path=codec)
    return build.model(SampleConfig(model=model, weights=weights, revision=revision, lora=list(lora), codec=own, runtime=runtime))


def sample(
    model: "Model",
    classes: Sequence[str | int] = (),
    *,
    prompts: Sequence[str] = (),
    negative: str | None = None,
    size: tuple[int, int] | None = None,
    text: str | None = None,
    text_precision: str = "float32",
    seeds: Sequence[int] | None = None,
    steps: int | None = None,
    solver: str = "auto",
    guidance: float | None = None,
    cache: str = "none",
    plan: "CachePlan | None" = None,
    batch: int = 16,
) -> "list[Image]":
    """One picture per seed (by default seed 0, 1, ... for each class or prompt), as PIL images.

    Classes, by name or number, or prompts are taken in turn; `steps` counts network evaluations; `cache="auto"` forecasts some of
    them by the best plan known, or by `plan` if one is given. A picture depends on its class or prompt and its seed only, never on
    its batch.

    A model that reads prompts is guided away from the `negative` one, draws pictures of any `size` (height, width), and has its text
    encoder loaded, from the folder `text` if given, in each call anew, so give all prompts at once.
    """
    from PIL import Image

    from ditkit.codecs.codec import to_uint8
    from ditkit.config.schema import SampleConfig, TextConfig, option
    from ditkit.engine.finite import checked
    from ditkit.engine.sampler import sample as run
    from ditkit.tasks.sample import Pictures, request
    from ditkit.tasks.shared.plans import with_plan

    chosen = [str(word) for word in classes]
    seeds = list(range(len(chosen) or len(prompts) or 1)) if seeds is None else list(seeds)
    height, width = size or (None, None)
    config = SampleConfig(
        classes=chosen,
        prompts=list(prompts),
        negative=negative,
        height=height,
        width=width,
        text=TextConfig(path=text, precision=text_precision),
        count=len(seeds),
        steps=steps,
        guidance=guidance,
        batch=batch,
        sampler=option("sampler", solver),
        cache=option("cache", cache),
    )
    Pictures().check(config, model.spec)
    shaped, asked = request(config, model, plan, seeds)
    planned = with_plan(asked, config.cache, shaped)
    made = checked(shaped, planned, run(shaped, planned))
    return [Image.fromarray(pixels) for batch_made in made for pixels in to_uint8(batch_made.pictures).movedim(1, -1).numpy()]
