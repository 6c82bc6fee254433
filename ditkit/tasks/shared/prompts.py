"""What a model is asked in words: prompts encoded once, for pictures of a size that the model was trained on.

Shapes: P prompts, N = P + 1 rows with the negative one, L tokens, F features.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ditkit.config.schema import BenchConfig, GroundConfig, SampleConfig, TextConfig, TrainRouterConfig
from ditkit.engine.conditions import PromptTable
from ditkit.engine.distributed import World, gather
from ditkit.engine.model import Model
from ditkit.errors import DataError, RequestError
from ditkit.files.text import lines_of, read_text
from ditkit.models import registry
from ditkit.models.aspect_bins import Bin, nearest
from ditkit.models.pipeline import folder_of
from ditkit.models.pixart import PixArtParams
from ditkit.models.prompts import Prompts
from ditkit.models.sizes import pixels_per_cell, sizes
from ditkit.models.spec import ModelSpec
from ditkit.results.progress import Progress
from ditkit.tasks.shared import build
from ditkit.tasks.shared.memory import check_texts
from ditkit.text import random
from ditkit.text.eight_bits import check_available
from ditkit.text.encoder import ENCODERS, EncoderSpec, TextEncoderFiles, TextFeatures, Vocabulary, encode, find_encoder

PRECISIONS = {**build.PRECISIONS, "int8": torch.int8}  # of text encoders
FOLDER = "text_encoder"  # beside a model's weights


def read_prompts(file: str) -> list[str]:
    """The lines of a text file that are not blank; raises `DataError` if there are none."""
    prompts = [line.strip() for line in lines_of(read_text(Path(file), "prompts of", DataError)) if line.strip()]
    if not prompts:
        raise DataError(f"{file} holds no prompts; write one on each line")
    return prompts


def reader(config: SampleConfig | GroundConfig | BenchConfig | TrainRouterConfig) -> TextConfig:
    """What reads the prompts: unless it is said, the text encoder that lies beside the weights, or, of random weights, none at all."""
    text, weights = config.text, config.weights
    if text.path is not None or weights is None:
        return text
    if weights == "random":
        return replace(text, path=random.RANDOM)
    folder = folder_of(Path(weights)) or (Path(weights) if Path(weights).is_dir() else Path(weights).parent)
    return replace(text, path=str(folder)) if (folder / FOLDER).is_dir() else text


def reader_bytes(config: TextConfig, spec: ModelSpec) -> int:
    """The memory of the model's own text encoder, which is gone before anything is sampled; 0 where nothing is read."""
    size = PRECISIONS[config.precision].itemsize
    return ENCODERS[spec.text].parameters * size if spec.text and config.path != random.RANDOM else 0


def encoder_of(spec: ModelSpec) -> EncoderSpec:
    """The model's text encoder; weights may say that they read other features, or more tokens of a prompt, than the registry's do."""
    own = ENCODERS[str(spec.text)]
    usual = registry.SPECS.get(spec.name, spec).params
    params = spec.params
    if not (isinstance(params, PixArtParams) and isinstance(usual, PixArtParams)):
        return own
    width = own.width if params.caption_width == usual.caption_width else params.caption_width
    return replace(own, width=width, tokens=own.tokens if params.caption_tokens == usual.caption_tokens else params.caption_tokens)


def pieces(config: TextConfig, spec: ModelSpec) -> Callable[[str], list[str]]:
    """How the model's prompts are cut into tokens."""
    if config.path == random.RANDOM:
        return random.pieces
    return Vocabulary(find_encoder(str(spec.text), config.path, config.revision).vocabulary).pieces


def table_for(config: BenchConfig | TrainRouterConfig, model: Model, progress: Progress, world: World | None = None) -> PromptTable | None:
    """The prompts of a command that samples them in turn; None for a model of classes. Raises `RequestError` for what cannot be asked."""
    said = [*config.prompts, *(read_prompts(config.prompt_file) if config.prompt_file else [])]
    if model.spec.text is None:
        if said:
            raise RequestError(f"{model.spec.name} reads no prompts; leave them out")
        return None
    if not said:
        raise RequestError(f"{model.spec.name} reads prompts; give some with --prompts FILE")
    return prompt_table(said, None, reader(config), model, progress, world)


def with_file_read(config: SampleConfig) -> SampleConfig:
    """The same with the file's prompts among the others, so that a manifest repeats them without the file."""
    if config.prompt_file is None:
        return config
    return replace(config, prompts=[*config.prompts, *read_prompts(config.prompt_file)], prompt_file=None)


def check_asked(config: SampleConfig, spec: ModelSpec) -> None:
    """Raise `RequestError` unless a model that reads prompts is asked in words, for pictures of a shape it knows, and any other is not."""
    if not spec.text:
        if config.prompts or config.negative is not None:
            way = "ask it with --class NAME" if spec.label_count else "it draws what it likes"
            raise RequestError(f"{spec.name} reads no prompts; {way}")
        if config.height or config.width:
            raise RequestError(f"{spec.name} makes pictures of {spec.makes} only; leave out --size")
        return
    if config.classes:
        raise RequestError(f"{spec.name} has no classes, it reads prompts; use --prompt in place of --class")
    if not config.prompts:
        raise RequestError(f"{spec.name} reads prompts; say what to draw with --prompt TEXT, or --prompts FILE")
    guidance = spec.defaults.guidance if config.guidance is None else config.guidance
    if config.negative is not None and guidance == 1:
        raise RequestError("guidance 1 leads away from nothing; leave out --negative, or give a --guidance of more than 1")
    trained_shape(spec, config.height, config.width)


def trained_shape(spec: ModelSpec, height: int | None, width: int | None) -> Bin | None:
    """The trained shape nearest to pictures of that size, a side that is not given being the model's own; None if neither is."""
    if height is None and width is None:
        return None
    height, width = height or spec.image_size, width or spec.image_size
    widest, *_, tallest = sizes(spec)
    if not widest.aspect <= height / width <= tallest.aspect:
        least, most = (f"{shape.height}x{shape.width}" for shape in (widest, tallest))
        raise RequestError(f"{spec.name} makes shapes from {least} to {most} (height x width), and {height}x{width} is beyond them")
    return nearest(sizes(spec), height, width)


def for_pictures(model: Model, height: int | None, width: int | None) -> Model:
    """The model for latents of the trained shape nearest to pictures of that size."""
    shape = trained_shape(model.spec, height, width)
    if shape is None:
        return model
    factor = pixels_per_cell(model.spec)
    return replace(model, spec=replace(model.spec, shape=(shape.height // factor, shape.width // factor)))


def picture_size(spec: ModelSpec) -> tuple[int, int]:
    """Height and width of the pictures that latents of the model's shape become."""
    factor = pixels_per_cell(spec)
    rows, columns = spec.sample_shape[1:]
    return rows * factor, columns * factor


def prompt_table(
    texts: Sequence[str], negative: str | None, config: TextConfig, model: Model, progress: Progress, world: World | None = None
) -> PromptTable:
    """The prompts, guided away from the negative or else the empty one, as the model's text encoder makes them.

    The first process of `world` encodes for all, and the encoder is gone afterwards. A model without weights (of `blank_model`) gets a
    table of sizes alone. Prompts that are cut are noted.
    """
    assert model.spec.text and isinstance(model.spec.params, PixArtParams)
    if config.precision == "int8":
        check_available()  # before anything is fetched
    spec, words = encoder_of(model.spec), [*texts, negative or ""]
    if model.device.type != "meta":
        check_texts(len(words), spec.tokens, spec.width)
    if model.device.type == "meta":
        features, origin = _unread(len(words), spec), {}
    elif config.path == random.RANDOM:
        features, origin = random.encode(words, spec), {"weights": random.RANDOM}
    else:
        files = find_encoder(model.spec.text, config.path, config.revision)
        for line in Vocabulary(files.vocabulary).warnings(words, spec.tokens):
            progress.note(line)
        features = _encoded(words, files, spec, PRECISIONS[config.precision], model.device, world or World())
        origin = {"weights": files.origin, "commit": files.commit, "precision": config.precision}
    height, width = picture_size(model.spec)
    sizes = torch.tensor([[height, width, height / width]]).expand(len(words), -1) if model.spec.params.micro_conditions else None
    return PromptTable(tuple(texts), Prompts(*features, sizes), (len(texts),) * len(texts), origin)


def _encoded(
    words: Sequence[str], files: TextEncoderFiles, spec: EncoderSpec, dtype: torch.dtype, where: torch.device, world: World
) -> TextFeatures:
    """On the CPU, where they wait for the batches that read them."""
    if world.rank:
        return gather(TextFeatures(torch.empty(0), torch.empty(0)), world)[0]
    features, mask = encode(words, files, spec, device=where, dtype=dtype)
    return gather(TextFeatures(features.cpu(), mask.cpu()), world)[0]


def _unread(rows: int, spec: EncoderSpec) -> TextFeatures:
    return TextFeatures(torch.empty(rows, spec.tokens, spec.width, device="meta"), torch.empty(rows, spec.tokens, device="meta"))


def prompt_bytes(model: Model, table: PromptTable, rows: int) -> int:
    """The memory that the keys and values of a network batch of so many rows take, and of the table that they are taken from."""
    params = model.spec.params
    each = 2 * params.depth * table.rows.mask.shape[-1] * params.width * model.dtype.itemsize
    return (rows + len(table.rows.mask)) * each
