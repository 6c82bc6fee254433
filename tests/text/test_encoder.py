"""A small T5 with a vocabulary of a few words plays the large one."""

import json
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ditkit.errors import CheckpointError, ConfigError, RequestError, UnknownName
from ditkit.files import hub
from ditkit.files.hub import Snapshot
from ditkit.files.tensors import read_tensors, write_tensors
from ditkit.models.registry import SPECS
from ditkit.text import encoder
from ditkit.text.encoder import ENCODERS, EncoderSpec, Vocabulary, encode, find_encoder, load_encoder
from ditkit.text.spans import phrase_tokens
from tests.closeness import assert_close, evaluated
from tests.golden_files import golden, golden_json
from tests.text.tiny import CONFIG, SPEC, weights, write_encoder

PROMPTS = ("A hot dog, two cats", "", "the sun")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A pipeline's folder."""
    return write_encoder(tmp_path)


@torch.no_grad()
def test_the_reference_encoder_is_reproduced(tmp_path: Path) -> None:
    reference = golden("extra_t5_encoder")
    write_tensors(tmp_path / "model.safetensors", {name[3:]: value for name, value in reference.items() if name.startswith("sd.")})
    (tmp_path / "config.json").write_text(json.dumps(golden_json("extra_t5_encoder")["config"]))
    model = load_encoder(tmp_path)
    ids, mask = reference["in.input_ids"], reference["in.attention_mask"]
    assert_close(model(input_ids=ids, attention_mask=mask).last_hidden_state, reference["out.last_hidden_state"], evaluated(model))
    assert_close(model(input_ids=ids).last_hidden_state, reference["out.last_hidden_state_no_mask"], evaluated(model))
    assert not any(parameter.requires_grad or parameter.is_meta for parameter in model.parameters())


def test_prompts_become_features_padded_to_the_same_length(folder: Path) -> None:
    found = find_encoder("t5-v1.1-xxl", str(folder))
    assert (found.origin, found.commit) == (f"file:{folder}", None)
    features, mask = encode(PROMPTS, found, SPEC)
    assert features.shape == (3, 14, 16)
    assert mask.sum(dim=1).tolist() == [len(Vocabulary(found.vocabulary).pieces(PROMPTS[0])) + 1, 1, 3]
    assert mask[0].tolist() == sorted(mask[0].tolist(), reverse=True)
    assert not features.requires_grad
    for index, prompt in enumerate(PROMPTS):  # nor does a prompt depend on the others
        assert_close(encode([prompt], found, SPEC).features[0], features[index], evaluated(load_encoder(folder / "text_encoder")))


def test_features_can_be_trained_on(folder: Path) -> None:
    features = encode(PROMPTS, find_encoder("t5-v1.1-xxl", str(folder)), SPEC).features
    weight = torch.ones(16, requires_grad=True)
    (features * weight).sum().backward()  # tensors of torch's inference mode would raise
    assert weight.grad is not None


def test_tokens_are_those_of_transformers_tokenizer(folder: Path) -> None:
    from transformers import T5Tokenizer

    theirs = T5Tokenizer.from_pretrained(folder / "tokenizer")
    prompts = ["a hot dog , two cats.", "  Brown TREE ", "", "tree  and\ncat", "über dog", "x" * 40]
    numbers, mask = Vocabulary(folder / "tokenizer" / "spiece.model").encode(prompts, 12)
    given = theirs([prompt.lower().strip() for prompt in prompts], padding="max_length", max_length=12, truncation=True)
    assert numbers.tolist() == given["input_ids"]
    assert mask.tolist() == given["attention_mask"]


def test_the_encoder_is_gone_afterwards(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[weakref.ref[Any]] = []

    def watched(folder: Path, dtype: torch.dtype) -> Any:
        model = load_encoder(folder, dtype)
        loaded.append(weakref.ref(model))
        return model

    monkeypatch.setattr(encoder, "load_encoder", watched)
    encode(PROMPTS, find_encoder("t5-v1.1-xxl", str(folder)), SPEC)
    assert [model() for model in loaded] == [None]


def test_bfloat16_is_near_and_float16_refused(folder: Path) -> None:
    found = find_encoder("t5-v1.1-xxl", str(folder))
    features = encode(PROMPTS, found, SPEC, dtype=torch.bfloat16).features
    assert features.dtype == torch.bfloat16
    assert_close(features, encode(PROMPTS, found, SPEC).features, evaluated(load_encoder(folder / "text_encoder", torch.bfloat16)))
    with pytest.raises(ConfigError, match="^T5 overflows in float16; encode prompts in bfloat16 or float32$"):
        encode(PROMPTS, found, SPEC, dtype=torch.float16)


@pytest.mark.parametrize("kind", ["safetensors index", "pickles with an index", "one pickle", "a whole T5"])
def test_weights_are_read_as_people_publish_them(folder: Path, kind: str) -> None:
    found = find_encoder("t5-v1.1-xxl", str(folder))
    expected = encode(PROMPTS, found, SPEC).features
    place = folder / "text_encoder"
    state = weights()
    (place / "model.safetensors").unlink()
    names = sorted(state)
    halves = {"model-00001-of-00002": names[:9], "model-00002-of-00002": names[9:]}
    match kind:
        case "safetensors index":
            for file, part in halves.items():
                write_tensors(place / f"{file}.safetensors", {name: state[name] for name in part})
            listed = {name: f"{file}.safetensors" for file, part in halves.items() for name in part}
            (place / "model.safetensors.index.json").write_text(json.dumps({"weight_map": listed}))
        case "pickles with an index":
            for file, part in halves.items():
                torch.save({name: state[name] for name in part}, place / f"{file}.bin")
            listed = {name: f"{file}.bin" for file, part in halves.items() for name in part}
            (place / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": listed}))
        case "one pickle":
            del state["encoder.embed_tokens.weight"]
            torch.save(state, place / "pytorch_model.bin")
        case _:
            more = {"lm_head.weight": torch.ones(2), "decoder.final_layer_norm.weight": torch.ones(2)}
            del state["shared.weight"]
            write_tensors(place / "model.safetensors", state | more)
    assert torch.equal(encode(PROMPTS, find_encoder("t5-v1.1-xxl", str(folder)), SPEC).features, expected)


def test_everything_may_lie_in_one_folder(folder: Path) -> None:
    beside = find_encoder("t5-v1.1-xxl", str(folder / "text_encoder"))
    assert beside == replace(find_encoder("t5-v1.1-xxl", str(folder)), origin=beside.origin)  # in the folder beside it
    (folder / "tokenizer" / "spiece.model").rename(folder / "text_encoder" / "spiece.model")
    files = find_encoder("t5-v1.1-xxl", str(folder / "text_encoder"))
    assert files.weights == folder / "text_encoder"
    assert encode(PROMPTS, files, SPEC).features.shape == (3, 14, 16)


def test_it_comes_from_the_hub_with_its_commit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def fetch(repository: str, revision: str | None, *, option: str, among: Any) -> Snapshot:
        asked.append((repository, revision, option, among is hub.TEXT_ENCODERS))
        return Snapshot(folder, "abc")

    monkeypatch.setattr(encoder, "fetch", fetch)
    assert find_encoder("t5-v1.1-xxl").commit == "abc"
    assert find_encoder("t5-v1.1-xxl", "PixArt-alpha/PixArt-XL-2-512x512", "main").origin == "hub:PixArt-alpha/PixArt-XL-2-512x512"
    assert asked == [
        ("PixArt-alpha/PixArt-XL-2-1024-MS", None, "text.path", True),
        ("PixArt-alpha/PixArt-XL-2-512x512", "main", "text.path", True),
    ]


def test_a_prompt_that_is_too_long_says_what_is_cut(folder: Path) -> None:
    vocabulary = Vocabulary(folder / "tokenizer" / "spiece.model")
    short, long = "a dog", "two hot dogs and the brown cats and a tree"
    count = len(vocabulary.pieces(long))
    limit = count - len(vocabulary.pieces("and a tree")) + 1
    assert vocabulary.cut(long, limit) == "and a tree"
    assert vocabulary.cut(long, count + 1) == vocabulary.cut(short, limit) == ""
    numbers, mask = vocabulary.encode([long], limit)
    assert (numbers[0, -1].item(), int(mask.sum())) == (1, limit)
    assert vocabulary.warnings([short, long, long], limit) == [
        f"a prompt has {count} tokens and {limit - 1} are read; cut off is: 'and a tree'"
    ]


def test_phrases_are_found_among_its_tokens(folder: Path) -> None:
    pieces = Vocabulary(folder / "tokenizer" / "spiece.model").pieces
    prompt = "The sun and two Hot Dogs, a dog."
    for phrase in ("sun", "two hot dogs", "dog"):
        places = phrase_tokens(prompt, phrase, pieces)
        text = "".join(pieces(prompt)[place] for place in places).replace("▁", " ").strip()
        assert text == phrase


def test_files_that_are_not_there_are_one_clear_line(folder: Path, tmp_path: Path) -> None:
    def refused(path: Path, words: str) -> None:
        with pytest.raises(CheckpointError) as caught:
            find_encoder("t5-v1.1-xxl", str(path))
        assert str(caught.value) == words

    gone = tmp_path / "gone"
    end = "no such folder; give one with text_encoder/ and tokenizer/, or leave it out to fetch t5-v1.1-xxl"
    refused(gone, f"text.path={gone}: {end}")
    with pytest.raises(CheckpointError, match="or leave it out to use the t5-emoji that ships$"):
        find_encoder("t5-emoji", str(gone))
    (folder / "tokenizer" / "spiece.model").rename(folder / "elsewhere")
    refused(folder, f"{folder} has no T5 vocabulary: put spiece.model or tokenizer.json into it or into its tokenizer/")
    (folder / "elsewhere").rename(folder / "spiece.model")
    (folder / "text_encoder" / "model.safetensors").unlink()
    names = "model.safetensors.index.json, model.safetensors, pytorch_model.bin.index.json, pytorch_model.bin"
    refused(folder, f"{folder / 'text_encoder'} has no T5 encoder: it needs a config.json and weights ({names})")


def test_without_a_network_the_error_names_file_and_option() -> None:
    with pytest.raises(
        CheckpointError,
        match=r"^cannot fetch text_encoder/model\.safetensors\.index\.json of PixArt-alpha/.*; download it elsewhere and give text\.path=",
    ):
        find_encoder("t5-v1.1-xxl")


def test_what_is_no_encoder_is_said_in_words(folder: Path) -> None:
    place = folder / "text_encoder"
    found = find_encoder("t5-v1.1-xxl", str(folder))
    with pytest.raises(CheckpointError, match="makes 16 features for a token, this model reads 4096$"):
        encode(PROMPTS, found, replace(SPEC, width=4096))
    state = weights()
    del state["encoder.final_layer_norm.weight"]
    write_tensors(place / "model.safetensors", state)
    with pytest.raises(
        CheckpointError, match=r"lacks 1 of the \d+ tensors that its config\.json calls for, first encoder\.final_layer_norm"
    ):
        load_encoder(place)
    write_tensors(place / "model.safetensors", weights({**CONFIG, "d_ff": 8}))
    with pytest.raises(CheckpointError, match=r"does not fit its config\.json: encoder\..* is \(8, 16\) instead of \(32, 16\)$"):
        load_encoder(place)
    (place / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json is not readable JSON: "):
        load_encoder(place)
    (place / "config.json").write_text(json.dumps({**CONFIG, "d_model": "wide"}))
    with pytest.raises(CheckpointError, match=r"config\.json is not that of a T5: "):
        load_encoder(place)
    (place / "config.json").write_text(json.dumps({**CONFIG, "model_type": "umt5"}))
    with pytest.raises(CheckpointError, match=r"config\.json is that of a umt5; prompts are read by a T5$"):
        load_encoder(place)
    (place / "config.json").write_text(json.dumps({**CONFIG, "num_layers": 10**9}))
    with pytest.raises(CheckpointError, match=r"config\.json says num_layers = 1000000000; the largest T5 has 24$"):
        load_encoder(place)
    (folder / "tokenizer" / "spiece.model").write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match=r"spiece\.model is not a vocabulary of sentencepiece: "):
        encode(PROMPTS, found, SPEC)


def test_an_index_that_cannot_be_read_is_refused(folder: Path) -> None:
    (folder / "text_encoder" / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"model\.safetensors\.index\.json holds no JSON object$"):
        load_encoder(folder / "text_encoder")


def test_what_is_asked_wrongly_is_refused(folder: Path) -> None:
    with pytest.raises(UnknownName, match=r"^no text encoder named 't5-xxl'; did you mean 't5-v1\.1-xxl'\?$"):
        find_encoder("t5-xxl")
    with pytest.raises(ConfigError, match="^revision=v1 is for a text encoder from the hub; this one comes from "):
        find_encoder("t5-v1.1-xxl", str(folder), "v1")
    with pytest.raises(RequestError, match="^there is no prompt to encode; give one, which may be empty$"):
        encode([], find_encoder("t5-v1.1-xxl", str(folder)), SPEC)


def test_every_model_that_is_asked_in_words_has_an_encoder_of_its_width() -> None:
    for spec in SPECS.values():
        if spec.text:
            params: Any = spec.params
            assert (ENCODERS[spec.text].width, ENCODERS[spec.text].tokens) == (params.caption_width, params.caption_tokens)
            assert ENCODERS[spec.text].hub in hub.TEXT_ENCODERS or find_encoder(spec.text, None).weights.is_dir()


def test_encoders_are_as_large_as_is_said() -> None:
    from transformers import T5Config, T5EncoderModel

    v11_xxl = T5Config(d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64, feed_forward_proj="gated-gelu")
    with torch.device("meta"):
        assert sum(value.numel() for value in T5EncoderModel(v11_xxl).parameters()) == ENCODERS["t5-v1.1-xxl"].parameters
    weights = find_encoder("t5-emoji", None).weights
    assert sum(value.numel() for value in read_tensors(weights / "model.safetensors").values()) == ENCODERS["t5-emoji"].parameters


def test_an_encoder_that_ditkit_ships_is_found_in_its_assets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "ASSETS", folder.parent)
    monkeypatch.setitem(ENCODERS, "t5-tiny", EncoderSpec(parameters=1000, width=16, tokens=14, asset=folder.name))
    assert find_encoder("t5-tiny").origin == f"ditkit:{folder.name}"
    assert find_encoder("t5-tiny", str(folder)).origin == f"file:{folder}"
    with pytest.raises(ConfigError, match=f"^revision=v1 is for a text encoder from the hub; this one comes from {folder.name}$"):
        find_encoder("t5-tiny", revision="v1")
    monkeypatch.setitem(ENCODERS, "t5-tiny", EncoderSpec(parameters=1000, width=16, tokens=14, asset="t5-absent"))
    with pytest.raises(CheckpointError, match=r"^ditkit/assets/weights/t5-absent is not in this copy of ditkit; give text.path=FOLDER$"):
        find_encoder("t5-tiny")
