"""T5's encoder: prompts to features, once per request, after which it is gone from memory.

Shapes: U prompts, L tokens, F features.
"""

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from ditkit.errors import CheckpointError, ConfigError, RequestError, UnknownName
from ditkit.files.folders import TRANSFORMERS, elsewhere, weight_files
from ditkit.files.hub import T5_WEIGHTS, TEXT_ENCODERS, fetch
from ditkit.files.json_object import read_object
from ditkit.files.tensors import State, read_tensors
from ditkit.files.weights import ASSETS
from ditkit.files.wrappers import unwrapped
from ditkit.text.eight_bits import check_available, in_eight_bits
from ditkit.text.vocabulary import VOCABULARIES, Vocabulary

if TYPE_CHECKING:
    from transformers import T5EncoderModel

AT_ONCE = 16  # prompts in one batch
MOST_LAYERS = 1000  # that are built before it is known whether there are weights for them
OPTION = "text.path"
KINDS = ("t5", "mt5")  # of transformers' models, which are one network


@dataclass(frozen=True)
class EncoderSpec:
    """A text encoder as models use it: how large it is, how wide its features, how many `tokens` a prompt has, and where it is.

    That is a repository of the `hub`, or the folder `asset` of those that ditkit ships.
    """

    parameters: int
    width: int
    tokens: int
    hub: str | None = None
    asset: str | None = None


ENCODERS: dict[str, EncoderSpec] = {
    "t5-v1.1-xxl": EncoderSpec(parameters=4_762_310_656, width=4096, tokens=120, hub="PixArt-alpha/PixArt-XL-2-1024-MS"),
    "t5-v1.1-xxl-300": EncoderSpec(4_762_310_656, width=4096, tokens=300, hub="PixArt-alpha/pixart_sigma_sdxlvae_T5_diffusers"),
    "t5-emoji": EncoderSpec(parameters=528_128, width=128, tokens=32, asset="t5-emoji-128"),
}


class TextFeatures(NamedTuple):
    """`features` (U, L, F) of prompts, and `mask` (U, L), 1 for their tokens and 0 for padding."""

    features: Tensor
    mask: Tensor


@dataclass(frozen=True)
class TextEncoderFiles:
    """Where an encoder's weights and vocabulary are; `origin` and `commit` say for manifests where they came from."""

    weights: Path
    vocabulary: Path
    origin: str
    commit: str | None = None


def find_encoder(name: str, path: str | None = None, revision: str | None = None) -> TextEncoderFiles:
    """The files of a text encoder: in the folder `path` (or the hub id of a known repository), else shipped, or fetched from the hub.

    A folder is a pipeline's (with text_encoder/ and tokenizer/), or holds everything itself. Raises `CheckpointError` that says what is
    missing.
    """
    if name not in ENCODERS:
        raise UnknownName("text encoder", name, ENCODERS)
    spec = ENCODERS[name]
    repository = spec.hub if path is None else path if path in TEXT_ENCODERS and not Path(path).exists() else None
    if repository:
        snapshot = fetch(repository, revision, option=OPTION, among=TEXT_ENCODERS)
        return _files_in(snapshot.folder, f"hub:{repository}", snapshot.commit)
    if revision:
        raise ConfigError(f"revision={revision} is for a text encoder from the hub; this one comes from {path or spec.asset}")
    if path is None:
        return _shipped(str(spec.asset))
    if not Path(path).is_dir():
        way = f"use the {name} that ships" if spec.asset else f"fetch {name}"
        raise CheckpointError(f"{OPTION}={path}: no such folder; give one with text_encoder/ and tokenizer/, or leave it out to {way}")
    return _files_in(Path(path), f"file:{path}")


def _shipped(asset: str) -> TextEncoderFiles:
    if not (ASSETS / asset).is_dir():
        raise CheckpointError(f"ditkit/assets/weights/{asset} is not in this copy of ditkit; give {OPTION}=FOLDER")
    return _files_in(ASSETS / asset, f"ditkit:{asset}")


def _files_in(folder: Path, origin: str, commit: str | None = None) -> TextEncoderFiles:
    weights = folder / "text_encoder" if (folder / "text_encoder").is_dir() else folder
    places = (folder / "tokenizer", folder, weights, *((folder.parent / "tokenizer",) if folder.name == "text_encoder" else ()))
    vocabularies = [place / name for place in places for name in VOCABULARIES]
    vocabulary = next((file for file in vocabularies if file.exists()), None)
    if vocabulary is None:
        raise CheckpointError(
            f"{folder} has no T5 vocabulary: put {' or '.join(VOCABULARIES)} into it or into its tokenizer/{elsewhere(folder)}"
        )
    if not (weights / "config.json").exists() or not weight_files(weights, TRANSFORMERS):
        raise CheckpointError(f"{weights} has no T5 encoder: it needs a config.json and weights ({', '.join(T5_WEIGHTS)})")
    return TextEncoderFiles(weights, vocabulary, origin, commit)


@torch.no_grad()
def encode(
    prompts: Sequence[str],
    files: TextEncoderFiles,
    spec: EncoderSpec,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> TextFeatures:
    """The features of the prompts (the empty one has the one token that ends it), computed in `dtype` by an encoder that is then dropped.

    T5-XXL takes 19 GB in float32, half of that in bfloat16 and a quarter in int8, where all but the linear layers is bfloat16, as the
    features are; float16 overflows in it and is refused.
    """
    if dtype == torch.float16:
        raise ConfigError("T5 overflows in float16; encode prompts in bfloat16 or float32")
    if not prompts:
        raise RequestError("there is no prompt to encode; give one, which may be empty")
    numbers, mask = (value.to(device) for value in Vocabulary(files.vocabulary).encode(prompts, spec.tokens))
    if dtype == torch.int8:
        check_available()  # before the weights are read
    encoder = load_encoder(files.weights, torch.bfloat16 if dtype == torch.int8 else dtype)
    if encoder.config.d_model != spec.width:
        raise CheckpointError(f"{files.weights} makes {encoder.config.d_model} features for a token, this model reads {spec.width}")
    if dtype == torch.int8:
        encoder = in_eight_bits(encoder)
    encoder.to(device)  # pyright: ignore[reportArgumentType] (decorated in a way it cannot see through)
    batches = zip(numbers.split(AT_ONCE), mask.split(AT_ONCE), strict=True)
    features = torch.cat([encoder(input_ids=some, attention_mask=kept).last_hidden_state for some, kept in batches])
    del encoder
    gc.collect()
    if features.is_cuda:
        torch.cuda.empty_cache()
    return TextFeatures(features, mask)


def load_encoder(folder: Path, dtype: torch.dtype = torch.float32) -> "T5EncoderModel":
    """T5's encoder from its folder, in evaluation mode; a file at a time, so that no more than one is there in the precision it is kept in.

    Files of the whole T5 serve as well. Raises `CheckpointError` for files that are damaged, incomplete or of something else.
    """
    from transformers import T5Config, T5EncoderModel

    said = read_object(folder / "config.json")
    if (kind := said.get("model_type", KINDS[0])) not in KINDS:
        raise CheckpointError(f"{folder / 'config.json'} is that of a {kind}; prompts are read by a T5")
    layers = said.get("num_layers")
    if isinstance(layers, int) and layers > MOST_LAYERS:
        raise CheckpointError(f"{folder / 'config.json'} says num_layers = {layers}; the largest T5 has 24")
    try:
        config = T5Config(**said)
        with torch.device("meta"):
            encoder = T5EncoderModel(config)
    except Exception as error:  # a wrong configuration can make transformers raise anything
        raise CheckpointError(f"{folder / 'config.json'} is not that of a T5: {type(error).__name__}: {error}") from error
    wanted = encoder.state_dict()
    state: State = {}
    for file in weight_files(folder, TRANSFORMERS):
        state |= {name: value.to(dtype) for name, value in unwrapped(read_tensors(file)).items() if name in wanted}
    table = state.get("shared.weight", state.get("encoder.embed_tokens.weight"))
    if table is not None:  # one table under two names, of which a file may have either
        state |= {"shared.weight": table, "encoder.embed_tokens.weight": table}
    _check(state, wanted, folder)
    encoder.load_state_dict(state, assign=True)
    return encoder.eval().requires_grad_(False)


def _check(state: State, wanted: Mapping[str, Tensor], folder: Path) -> None:
    missing = sorted(wanted.keys() - state.keys())
    if missing:
        raise CheckpointError(
            f"{folder} lacks {len(missing)} of the {len(wanted)} tensors that its config.json calls for, first {missing[0]}"
        )
    misshapen = next((name for name, value in wanted.items() if state[name].shape != value.shape), None)
    if misshapen:
        given, called = (tuple(tensors[misshapen].shape) for tensors in (state, wanted))
        raise CheckpointError(f"{folder} does not fit its config.json: {misshapen} is {given} instead of {called}")
