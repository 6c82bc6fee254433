"""The model that a file of weights is of: what the file or its folder says takes the place of the registry's numbers."""

from dataclasses import replace
from pathlib import Path

from ditkit.errors import CheckpointError
from ditkit.models.blank import family_of
from ditkit.models.dit import DiTParams
from ditkit.models.identify import FAMILY_NAMES, as_kin, describe, identify, registered, title, told
from ditkit.models.kin import KIN, PROJECTORS
from ditkit.models.loading import differences
from ditkit.models.pixart import PixArtParams
from ditkit.models.reading import Checkpoint
from ditkit.models.registry import SPECS
from ditkit.models.sit import SiTParams
from ditkit.models.spec import ModelSpec, Params

SIGMA = "PixArtSigmaPipeline"
ALPHA_TOKENS, SIGMA_TOKENS = 120, 300  # of a prompt
ALPHA = "PixArtAlphaPipeline"
PIPELINES = {"dit": "DiTPipeline", "pixart": ALPHA}  # of diffusers, that hold the models of a family


def fitted(spec: ModelSpec, checkpoint: Checkpoint, path: Path) -> ModelSpec:
    """The model with the numbers that this checkpoint states, or else shows; what neither tells is as in `spec`.

    Its name, noise schedule and defaults stay, its pictures grow with its latents, and a list of class names that no longer fits is
    dropped. Raises `CheckpointError` for the pipeline of another model, and where the registry has another model of just these numbers.
    A network of another family is left for the loader to report.
    """
    _check_pipeline(spec, checkpoint, path)
    _check_kin(spec, checkpoint, path)
    _check_projectors(spec, checkpoint, path)
    shown = as_kin(checkpoint.params or identify(checkpoint.state), spec.params)
    if shown is None or family_of(shown) != spec.family:
        return spec
    params = _params(shown, checkpoint, spec.params)
    if params == spec.params:
        return spec
    twin = registered(params)
    if twin:
        has = differences(params, spec.params)
        raise CheckpointError(f"{path} does not fit {describe(spec.params)}: it has {has}; use the model {twin.name}")
    return replace(
        spec,
        params=params,
        image_size=spec.image_size * params.input_size // spec.params.input_size,
        classes=spec.classes if params.classes == spec.params.classes else None,
    )


def undecided(spec: ModelSpec, checkpoint: Checkpoint, path: Path) -> str | None:
    """A line about a file of which nothing tells whether it is a DiT or a SiT."""
    if spec.family not in KIN or checkpoint.kin:
        return None
    mine, other = (FAMILY_NAMES[family] for family in (spec.family, *(kin for kin in KIN if kin != spec.family)))
    return f"nothing in {path.name} tells a {mine} from a {other}: it is run as a {mine}, as {spec.name} is"


def _check_kin(spec: ModelSpec, checkpoint: Checkpoint, path: Path) -> None:
    """Raise `CheckpointError` for a SiT under a DiT's name, or the reverse."""
    tells = checkpoint.kin
    if tells is None or spec.family not in KIN or tells.family not in KIN:
        return
    learns = getattr(spec.params, "learn_sigma", True)
    if tells.family == spec.family or (not learns and checkpoint.params is None and spec.family == "dit"):
        return
    found, meant = FAMILY_NAMES[tells.family], FAMILY_NAMES[spec.family]
    twin = next((name for name in SPECS if name == spec.name.replace(spec.family, tells.family, 1)), None)
    hint = f"use the model {twin}" if twin else f"choose a {found}"
    raise CheckpointError(f"{path} is a {found} ({tells.reason}), {spec.name} is a {meant}: they differ in what they predict; {hint}")


def _check_projectors(spec: ModelSpec, checkpoint: Checkpoint, path: Path) -> None:
    """Raise `CheckpointError` for what REPA trained under the name of another SiT, or the reverse where the final layer tells."""
    if spec.family not in KIN:
        return
    projected = any(name.startswith(PROJECTORS) for name in checkpoint.state)
    if projected and PROJECTORS not in spec.drops:
        raise CheckpointError(f"{path} was trained with REPA, its time runs against {spec.name}'s; use the model {spec.name}-repa")
    stated, own = checkpoint.params, spec.params
    if isinstance(stated, SiTParams) and isinstance(own, SiTParams) and stated.clock != own.clock:
        raise CheckpointError(f"{path} was trained with time running towards {stated.clock}, {spec.name}'s runs towards {own.clock}")
    shown = identify(checkpoint.state)
    if PROJECTORS in spec.drops and not projected and isinstance(shown, DiTParams) and shown.learn_sigma:
        plain = spec.name.removesuffix("-repa")
        raise CheckpointError(f"{path} has a final layer for a variance too, which REPA's have not; use the model {plain}")


def news(spec: ModelSpec, params: Params) -> str | None:
    """A line about a network of another size than the model whose name it runs under, if it is one."""
    if all(getattr(params, name) == getattr(spec.params, name) for name in ("width", "depth", "patch")):
        return None
    return f"these weights are a {title(params)}; it runs with the noise schedule and the defaults of {spec.name}"


def _params(shown: Params, checkpoint: Checkpoint, like: Params) -> Params:
    """All the numbers: a configuration of diffusers' leaves out its equations and how long prompts are, shapes leave out more."""
    if checkpoint.params is None or checkpoint.from_diffusers:
        complete = told(shown, like)
        stated = {name: getattr(shown, name) for name in ("heads", "input_size", "interpolation") if hasattr(shown, name)}
        params = replace(complete, **stated) if checkpoint.params else complete
    else:
        params = replace(shown, compat=like.compat) if isinstance(shown, DiTParams) and isinstance(like, DiTParams) else shown
    if isinstance(params, PixArtParams) and checkpoint.caption_tokens:
        return replace(params, caption_tokens=checkpoint.caption_tokens)
    return params


def _check_pipeline(spec: ModelSpec, checkpoint: Checkpoint, path: Path) -> None:
    """Raise `CheckpointError` for a pipeline, or a PixArt, of another kind than the model's."""
    wanted = _pipeline_of(spec)
    given = checkpoint.pipeline or (SIGMA if _of_sigma(checkpoint) else ALPHA if wanted == SIGMA and _of_alpha(checkpoint) else None)
    if given is None or (wanted and _kind(given) == _kind(wanted)):
        return
    reason = "" if checkpoint.pipeline else " by its numbers"
    source = f"from a {wanted}" if wanted else "from no pipeline of diffusers"
    others = [name for name, known in SPECS.items() if _kind(_pipeline_of(known) or "") == _kind(given)]
    hint = f"use the model {_alike(spec, others)}" if others else "ditkit has no model of that kind"
    raise CheckpointError(f"{path} is a {given}{reason}; {spec.name} is read {source}; {hint}")


def _alike(spec: ModelSpec, names: list[str]) -> str:
    """Of these models the one whose pictures are as large, else the first."""
    return next((name for name in names if SPECS[name].image_size == spec.image_size), names[0])


def _pipeline_of(spec: ModelSpec) -> str | None:
    return spec.pipeline or PIPELINES.get(spec.family)


def _kind(pipeline: str) -> str:
    """Without what a pipeline does to a model beside sampling it: PixArtSigmaPAGPipeline holds what PixArtSigmaPipeline holds."""
    return pipeline.removesuffix("Pipeline").removesuffix("PAG").removesuffix("Img2Img").removesuffix("Controlnet")


def _of_alpha(checkpoint: Checkpoint) -> bool:
    """Whether a PixArt without its pipeline is an alpha: its published files hold a caption of 120 tokens, the largest is told sizes."""
    return checkpoint.caption_tokens == ALPHA_TOKENS or "csize_embedder.mlp.0.weight" in checkpoint.state


def _of_sigma(checkpoint: Checkpoint) -> bool:
    """Whether numbers tell that a PixArt without its pipeline is a Sigma: long captions, or sizes that alpha was published otherwise in."""
    params = checkpoint.params
    if checkpoint.caption_tokens == SIGMA_TOKENS:
        return True
    if not isinstance(params, PixArtParams) or not checkpoint.from_diffusers:
        return False
    size = params.input_size
    return size == 256 or (size == 128 and not params.micro_conditions) or (size == 32 and params.interpolation == 0.5)
