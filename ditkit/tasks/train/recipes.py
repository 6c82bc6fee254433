"""What each kind of model is trained with: its task, its examples, and how its finished weights are written."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ditkit.codecs.codec import Codec
from ditkit.codecs.registry import load_codec
from ditkit.config.schema import CodecConfig, DataConfig, FlowConfig, ScenesConfig, TrainConfig
from ditkit.data.clouds import CloudDraws, normalisation
from ditkit.data.examples import Examples
from ditkit.data.images import load_pictures
from ditkit.data.sprites import load_sprites
from ditkit.diffusion.schedule import FlowPath, named
from ditkit.engine.distributed import World
from ditkit.errors import ConfigError
from ditkit.files.tensors import State
from ditkit.models import checkpoints, registry
from ditkit.models.judge import Judge, JudgeParams, save_judge
from ditkit.models.spec import ModelSpec
from ditkit.results.progress import Progress
from ditkit.tasks.shared.classes import sized_for
from ditkit.tasks.shared.clouds import to_learn
from ditkit.tasks.shared.latents import encoded
from ditkit.tasks.shared.memory import check_batch, example_bytes
from ditkit.tasks.shared.prompts import FOLDER
from ditkit.tasks.train import gpu
from ditkit.tasks.train.autoencoder import autoencoder
from ditkit.tasks.train.prompted import scene_draws, starting_encoder, trained_encoder, vocabulary_of
from ditkit.tasks.train.start import check_goes_on
from ditkit.text.small import save_encoder
from ditkit.training.denoiser import DenoiserTask
from ditkit.training.flow_objective import FlowObjective
from ditkit.training.judge import JudgeTask
from ditkit.training.lora import add_lora, save_lora, without_lora
from ditkit.training.objective import DenoisingObjective, Objective
from ditkit.training.prompted import Prompted, parts
from ditkit.training.trainer import Task
from ditkit.training.transfer import merged, start_from, train_lightly

ALONE = "ae-emoji", "judge"  # what is trained here and is no diffusion transformer
OF_NOISE = "flow", "min_snr", "noisy_weight", "levels", "start", "label_dropout"  # options of training that only a denoiser has
PICTURE_BYTES = 4 * 3 * 64**2  # of a sprite, as these learn from it


@dataclass(frozen=True)
class Recipe:
    """What to train, and how to write the finished weights."""

    task: Task
    write: Callable[[State, Path], None]


def recipe_of(config: TrainConfig, folder: Path, where: torch.device, world: World, progress: Progress) -> Recipe:
    """The task that is asked for, on its device; encoded pictures are kept in `folder`, unless it is said where."""
    path = str(config.data.path)
    _check_heard(config)
    each = PICTURE_BYTES if config.model in ALONE else example_bytes(registry.find(config.model))
    check_batch(-(-config.batch // world.size), each, where)
    match config.model:
        case "ae-emoji":
            return Recipe(*autoencoder(config, where))
        case "judge":
            sprites = load_sprites(path)
            params = JudgeParams(len(sprites.class_names))
            judge = JudgeTask(_ready(Judge(params), config, where), sprites, batch=config.batch, seed=config.seed)
            return Recipe(judge, lambda state, file: save_judge(state, params, file))
    spec = _as_flow(config, registry.find(config.model))
    check_goes_on(config, spec)
    if spec.text:
        return _prompted(config, spec, where, progress)
    return (_of_clouds if spec.points else _of_pictures)(config, spec, folder, where, world, progress)


def _check_heard(config: TrainConfig) -> None:
    """Raise `ConfigError` for an option that would be ignored."""
    words = _reads_captions(config.model)
    heard = ScenesConfig(small=config.scenes.small) if config.model == "ae-emoji" else ScenesConfig()
    if config.scenes != heard and not words:
        raise ConfigError(f"scenes.* say what a model that reads captions learns from, scenes.small also ae-emoji; {config.model} is none")
    if config.transfer == "decoder" and config.model != "ae-emoji":
        raise ConfigError(f"transfer=decoder trains the decoder of ae-emoji; {config.model} has none")
    if config.model in ALONE and (config.transfer == "diffit" or config.lora.rank or config.weights_key):
        raise ConfigError(f"transfer=diffit, lora.* and weights_key= are for diffusion transformers; {config.model} is none")
    unset = TrainConfig()
    if config.model in ALONE and (said := [name for name in OF_NOISE if getattr(config, name) != getattr(unset, name)]):
        raise ConfigError(f"leave out {', '.join(said)}: a diffusion transformer learns from noise, and {config.model} is none")
    if config.data.background != DataConfig().background and not _sees_pictures(config.model):
        raise ConfigError(f"data.background is for pictures to train a denoiser on; {config.model} has none")
    if config.classes is not None and (words or config.model in ALONE):
        raise ConfigError(f"classes= says how many classes a network has room for; {config.model} is told none")
    if config.codec != CodecConfig() and (config.model in ALONE or registry.find(config.model).points):
        raise ConfigError(f"codec.* say what makes latents of the pictures that a model learns from; {config.model} learns from none")


def _as_flow(config: TrainConfig, spec: ModelSpec) -> ModelSpec:
    """The model with the path and the prediction that are asked for; raises `ConfigError` for what its schedule has not."""
    if not isinstance(named(spec.schedule), FlowPath):
        if config.flow != FlowConfig():
            raise ConfigError(f"flow.* says what a flow learns; {spec.name} has a noise schedule")
        return spec
    if config.min_snr or config.noisy_weight != 1 or config.levels != "even":
        raise ConfigError(f"min_snr, noisy_weight and levels weigh those of a noise schedule; {spec.name} is a flow, which flow.* is for")
    prediction: Any = config.flow.prediction or spec.prediction
    if spec.prediction == "reversed velocity" and prediction == "velocity":
        prediction = spec.prediction  # the network's own time runs that way
    return replace(spec, prediction=prediction, schedule=f"{config.flow.path}-flow" if config.flow.path else spec.schedule)


def _reads_captions(model: str) -> bool:
    return model not in ALONE and registry.find(model).text is not None


def _sees_pictures(model: str) -> bool:
    return model not in ALONE and registry.find(model).text is None and not registry.find(model).points


def _denoiser(config: TrainConfig, spec: ModelSpec, module: Any, examples: Examples, where: torch.device) -> DenoiserTask:
    schedule, flow, by_weight = named(spec.schedule), config.flow, config.levels == "weighted"
    objective: Objective
    if isinstance(schedule, FlowPath):
        weighting: Any = flow.weighting
        objective = FlowObjective(schedule.below(config.start), spec.prediction, weighting, flow.mean, flow.deviation)
    else:
        objective = DenoisingObjective(schedule, where, config.min_snr, config.noisy_weight, start=config.start, by_weight=by_weight)
    dropout = config.label_dropout if spec.can_be_guided else 0.0
    return DenoiserTask(
        gpu.compiled(module, config.runtime, where), examples, objective, batch=config.batch, seed=config.seed, label_dropout=dropout
    )


def _prompted(config: TrainConfig, spec: ModelSpec, where: torch.device, progress: Progress) -> Recipe:
    """A model that is asked in words, on composed scenes, together with its text encoder, which is written into a folder beside it."""
    trained_encoder(spec)
    sprites = load_sprites(str(config.data.path))
    vocabulary = vocabulary_of(sprites)
    backbone = _ready(registry.build(spec), config, where, progress)
    encoder = starting_encoder(config, spec, vocabulary, progress)
    module = Prompted(backbone, encoder.requires_grad_(not config.lora.rank)).to(where).train()
    draws = scene_draws(config, spec, sprites, vocabulary, _codec(config, spec, where), where, progress)

    def write(state: State, file: Path) -> None:
        network, text = parts(state)
        checkpoints.save(
            without_lora(merged(network), config.lora.strength), file, model=spec.name, params=spec.params, dtype=torch.float16
        )
        if config.lora.rank:
            save_lora(network, file.with_name("lora"), spec.params, config.lora.strength)
        save_encoder(file.with_name(FOLDER), encoder.config.to_diff_dict(), text, vocabulary)

    return Recipe(_denoiser(config, spec, module, draws, where), write)


def _of_pictures(config: TrainConfig, spec: ModelSpec, folder: Path, where: torch.device, world: World, progress: Progress) -> Recipe:
    """A model of pictures, on latents that are encoded once; all that can be wrong is found before."""
    path = str(config.data.path)
    pictures = load_pictures(path, spec.image_size, config.data.background, progress.note)
    own = _noted(sized_for(spec, pictures.class_names, path, config.classes), spec, progress)
    network = _ready(registry.build(own), config, where, progress)
    codec = _codec(config, spec, where)
    latents = encoded(config.data, pictures, codec, codec.name, folder, where, world, progress)
    words = {"class_names": json.dumps(latents.class_names)} if own.label_count else {}
    return _learning(config, own, network, latents, where, words)


def _of_clouds(config: TrainConfig, spec: ModelSpec, folder: Path, where: torch.device, world: World, progress: Progress) -> Recipe:
    """A model of point clouds; its weights say what its categories are and how the clouds were normalised."""
    data = config.data
    sized, clouds = to_learn(data, spec, config.classes, progress.note)
    own = _noted(sized, spec, progress)
    codec = normalisation(clouds)
    draws = CloudDraws(clouds, codec, spec.points, mirror=data.mirror, stretch=data.stretch, balance=data.balance)
    words = {"class_names": json.dumps(clouds.class_names), **codec.words()}
    return _learning(config, own, _ready(registry.build(own), config, where, progress), draws, where, words)


def _learning(
    config: TrainConfig, own: ModelSpec, network: Any, examples: Examples, where: torch.device, words: Mapping[str, str]
) -> Recipe:
    """The network on these examples; `words` is what its weights' file is to say beside its numbers."""

    flow = {"prediction": own.prediction, "schedule": own.schedule} if config.flow != FlowConfig() else {}

    def write(state: State, file: Path) -> None:
        whole = without_lora(merged(state), config.lora.strength)
        checkpoints.save(whole, file, model=own.name, params=own.params, dtype=torch.float16, **words, **flow)
        if config.lora.rank:
            save_lora(state, file.with_name("lora"), own.params, config.lora.strength)

    return Recipe(_denoiser(config, own, network, examples, where), write)


def _codec(config: TrainConfig, spec: ModelSpec, where: torch.device) -> Codec:
    """What makes latents of the pictures: the model's own, unless another is said; raises `ConfigError` for one that makes others."""
    codec = load_codec(config.codec.name or spec.codec, config.codec.path, config.codec.revision)
    made = codec.latent_shape(spec.image_size, spec.image_size)
    if made != spec.sample_shape:
        shapes = " and ".join(" x ".join(map(str, shape)) for shape in (made, spec.sample_shape))
        raise ConfigError(f"{codec.name} and {spec.name} do not go together: latents of {spec.image_size} pixels are {shapes}")
    return codec.to(where, torch.float32)


def _noted(own: ModelSpec, spec: ModelSpec, progress: Progress) -> ModelSpec:
    """The model as it is trained, once it is said if that is for another number of classes."""
    if own.label_count != spec.label_count:
        progress.note(f"the network's own number of classes is {own.label_count}; {spec.name} has {spec.label_count}")
    return own


def _ready(module: Any, config: TrainConfig, where: torch.device, progress: Progress | None = None) -> Any:
    """The module on its device, from the weights it is to start from, if any; of those that it leaves out a note is made."""
    if config.init:
        if config.model in ALONE:
            raise ConfigError("init= gives a diffusion transformer its first weights; the judge always starts afresh")
        checkpoint = checkpoints.read_checkpoint(Path(config.init), config.weights_key)
        fresh = start_from(module, checkpoint, config.init)
        notes = [*checkpoint.notes]
        if fresh:
            notes.append(f"not in {config.init}, so started afresh: {', '.join(sorted({_part(name) for name in fresh}))}")
        if progress:
            for line in notes:
                progress.note(line)
        if config.transfer == "diffit":
            train_lightly(module, fresh)
        if config.lora.rank:
            if fresh:
                lacks = ", ".join(sorted({_part(name) for name in fresh}))
                raise ConfigError(
                    f"a LoRA changes weights that are there, and {config.init} has none that fit {lacks}; say its own classes=N"
                )
            add_lora(module, config.lora.rank, config.lora.strength)
    return module.to(where).train()


def _part(name: str) -> str:
    """The part of the network that a parameter is in, whichever its block."""
    return name.split(".")[2 if name.startswith("blocks.") else 0]
