"""`ditkit train`: base models, the small autoencoder and the judge. Run again, the same command goes on where it stopped."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ditkit.codecs.registry import load_codec, save_residual
from ditkit.codecs.residual import ResidualAutoencoder
from ditkit.config.schema import ScenesConfig, TrainConfig
from ditkit.data.clouds import CloudDraws, normalisation
from ditkit.data.examples import Examples
from ditkit.data.images import SpritePictures, load_pictures, variants
from ditkit.data.latents import encode_pictures
from ditkit.data.scenes import load_sprites
from ditkit.diffusion.schedule import named
from ditkit.engine.distributed import World, barrier, join_world
from ditkit.errors import ConfigError, DataError
from ditkit.files.tensors import State, read_tensors
from ditkit.models import checkpoints, registry
from ditkit.models.judge import Judge, JudgeParams, save_judge
from ditkit.models.spec import ModelSpec
from ditkit.results.progress import Progress
from ditkit.results.report import Report
from ditkit.tasks.shared import build
from ditkit.tasks.shared.clouds import labelled
from ditkit.tasks.shared.latents import encoded
from ditkit.tasks.shared.loop import asked, run_steps
from ditkit.tasks.shared.prompts import FOLDER
from ditkit.tasks.train.prompted import scene_draws, starting_encoder, trained_encoder, vocabulary_of
from ditkit.text.small import save_encoder
from ditkit.training.autoencoder import AutoencoderTask, picture_batch
from ditkit.training.denoiser import DenoiserTask
from ditkit.training.judge import JudgeTask
from ditkit.training.objective import DenoisingObjective
from ditkit.training.prompted import Prompted, parts
from ditkit.training.trainer import StepReport, Task, TrainSettings
from ditkit.training.transfer import merged, start_from, train_lightly

PATCH_STREAM, PATCH_PICTURES = 1, 512  # from which the autoencoder's linear shortcut starts
ALONE = "ae-emoji", "judge"  # what is trained here and is no diffusion transformer
SCALE_VARIANTS = 8  # of each sprite, over which the autoencoder's latents are scaled to unit variance


@dataclass(frozen=True)
class Recipe:
    """What to train, and how to write the finished weights."""

    task: Task
    write: Callable[[State, Path], None]


def run(config: TrainConfig, progress: Progress) -> Report:
    """Train until `steps`; the averaged weights end up in `out/model.safetensors`. Interrupted, it leaves what it needs to go on."""
    if config.data.path is None:
        raise ConfigError("training needs data: --data FOLDER (one subfolder of images, or of clouds, per class) or --data FILE.npz")
    if config.runtime.precision == "float16":
        raise ConfigError("training in float16 would lose small gradients; use runtime.precision=bfloat16 or float32")
    where = build.device(config.runtime)
    if config.runtime.threads:
        torch.set_num_threads(config.runtime.threads)
    world = join_world(where)
    folder = Path(config.out)
    torch.manual_seed(config.seed)
    recipe = _recipe(config, folder, where, world, progress)
    started = time.perf_counter()
    title = f"training {config.model}"
    last = run_steps(recipe.task, _settings(config), folder, world, progress, title, tensorboard=config.tensorboard)
    barrier(world)
    weights = folder / "model.safetensors"
    if world.rank == 0:
        recipe.write(read_tensors(folder / "weights.safetensors"), weights)
    return _report(config, last, weights, time.perf_counter() - started)


def _recipe(config: TrainConfig, folder: Path, where: torch.device, world: World, progress: Progress) -> Recipe:
    path = str(config.data.path)
    if config.scenes != ScenesConfig() and not _reads_captions(config.model):
        raise ConfigError(f"scenes.* say what a model that reads captions learns from; {config.model} reads none")
    match config.model:
        case "ae-emoji":
            sprites = load_sprites(path)
            module = ResidualAutoencoder()
            module.start_from_patches(picture_batch(sprites, PATCH_STREAM, 0, PATCH_PICTURES))
            coder = AutoencoderTask(_ready(module, config, where), sprites, batch=config.batch, seed=config.seed)
            return Recipe(coder, lambda state, file: _write_autoencoder(coder, state, file))
        case "judge":
            sprites = load_sprites(path)
            params = JudgeParams(len(sprites.class_names))
            judge = JudgeTask(_ready(Judge(params), config, where), sprites, batch=config.batch, seed=config.seed)
            return Recipe(judge, lambda state, file: save_judge(state, params, file))
    spec = registry.find(config.model)
    if spec.text:
        return _prompted(config, spec, where, progress)
    examples, words = _clouds(config, spec) if spec.points else _latents(config, spec, folder, where, world, progress)
    task = _denoiser(config, spec, _ready(registry.build(spec), config, where, progress), examples, where)

    def write(state: State, file: Path) -> None:
        checkpoints.save(merged(state), file, model=spec.name, params=spec.params, dtype=torch.float16, **words)

    return Recipe(task, write)


def _reads_captions(model: str) -> bool:
    return model not in ALONE and registry.find(model).text is not None


def _denoiser(config: TrainConfig, spec: ModelSpec, module: Any, examples: Examples, where: torch.device) -> DenoiserTask:
    objective = DenoisingObjective(named(spec.schedule), where, config.min_snr, config.noisy_weight)
    dropout = config.label_dropout if spec.can_be_guided else 0.0
    return DenoiserTask(module, examples, objective, batch=config.batch, seed=config.seed, label_dropout=dropout)


def _prompted(config: TrainConfig, spec: ModelSpec, where: torch.device, progress: Progress) -> Recipe:
    """A model that is asked in words, on composed scenes, together with its text encoder, which is written into a folder beside it."""
    trained_encoder(spec)
    sprites = load_sprites(str(config.data.path))
    vocabulary = vocabulary_of(sprites)
    backbone = _ready(registry.build(spec), config, where, progress)
    encoder = starting_encoder(spec, vocabulary, config.init)
    module = Prompted(backbone, encoder).to(where).train()

    def write(state: State, file: Path) -> None:
        network, text = parts(state)
        checkpoints.save(merged(network), file, model=spec.name, params=spec.params, dtype=torch.float16)
        save_encoder(file.with_name(FOLDER), encoder.config.to_diff_dict(), text, vocabulary)

    return Recipe(_denoiser(config, spec, module, scene_draws(spec, sprites, vocabulary, where, config.scenes), where), write)


def _latents(
    config: TrainConfig, spec: ModelSpec, folder: Path, where: torch.device, world: World, progress: Progress
) -> tuple[Examples, dict[str, str]]:
    """Encoded pictures, and what the weights' file is to say of them."""
    path = str(config.data.path)
    codec = load_codec(spec.codec).to(where, torch.float32)
    latents = encoded(config.data, load_pictures(path, spec.image_size), codec, spec.codec, folder, where, world, progress)
    if spec.label_count and int(latents.labels.max()) >= spec.label_count:
        raise DataError(f"{path} has {int(latents.labels.max()) + 1} classes, {spec.name} has {spec.label_count}")
    return latents, {"class_names": json.dumps(latents.class_names)} if spec.label_count else {}


def _clouds(config: TrainConfig, spec: ModelSpec) -> tuple[Examples, dict[str, str]]:
    """Point clouds, and what the weights' file is to say of them: their categories and how they were normalised."""
    data, clouds = config.data, labelled(config.data, spec)
    codec = normalisation(clouds)
    draws = CloudDraws(clouds, codec, spec.points, mirror=data.mirror, stretch=data.stretch, balance=data.balance)
    return draws, {"class_names": json.dumps(clouds.class_names), **codec.words()}


def _ready(module: Any, config: TrainConfig, where: torch.device, progress: Progress | None = None) -> Any:
    """The module on its device, from the weights it is to start from, if any; of those that it leaves out a note is made."""
    if config.init:
        if config.model in ALONE:
            raise ConfigError(f"init= gives a diffusion transformer its first weights; {config.model} always starts afresh")
        fresh = start_from(module, checkpoints.read_checkpoint(Path(config.init)), config.init)
        if fresh and progress:
            progress.note(f"not in {config.init}, so started afresh: {', '.join(sorted({_part(name) for name in fresh}))}")
        if config.transfer == "diffit":
            train_lightly(module, fresh)
    return module.to(where).train()


def _part(name: str) -> str:
    """The part of the network that a parameter is in, whichever its block."""
    return name.split(".")[2 if name.startswith("blocks.") else 0]


def _settings(config: TrainConfig) -> TrainSettings:
    return TrainSettings(
        steps=config.steps,
        batch=config.batch,
        learning_rate=config.learning_rate,
        warmup=config.warmup,
        decay=config.decay,
        weight_decay=config.weight_decay,
        clip=config.clip,
        ema=config.ema,
        seed=config.seed,
        precision=config.runtime.precision,
        save_minutes=config.save_minutes,
        optimizer=config.optimizer,
        beside=asked(config),
    )


@torch.inference_mode()
def _write_autoencoder(task: AutoencoderTask, state: State, file: Path) -> None:
    """With the scale that takes the latents of single sprites on white, which models learn first, to unit variance."""
    module = task.module.cpu()
    module.load_state_dict(state)
    pictures = SpritePictures(task.sprites)
    latents = encode_pictures(pictures, lambda images: module.encode(images)[0], variants(pictures, SCALE_VARIANTS, mirror=True))
    save_residual(module, file, 1 / latents.values.std().item(), torch.float16)


def _report(config: TrainConfig, last: StepReport | None, weights: Path, seconds: float) -> Report:
    step = last.step if last else config.steps
    facts: dict[str, Any] = {"steps": f"{step} of {config.steps}", "minutes": f"{seconds / 60:.1f}"}
    if last:
        facts |= {"loss": f"{float(last.loss):.4f}"} | {name: f"{float(value):.4g}" for name, value in last.values.items()}
    return Report(title=f"trained {config.model}", facts=facts, files=[weights], data={"step": step, "seconds": seconds})
