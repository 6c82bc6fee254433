"""Grounded pictures into a run folder: complete, continued, repeated; and every mistake in one line."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from ditkit.cli.app import app
from ditkit.config.schema import RULE_SETS, EveryCache, GroundConfig, RulesConfig, RuntimeConfig, SampleConfig, TextConfig
from ditkit.errors import DitkitError, OutputError, RequestError
from ditkit.grounding.attention_maps import attention_maps
from ditkit.grounding.cost import gradient_bytes
from ditkit.grounding.rules import DEFAULT, RULES
from ditkit.models import checkpoints, registry
from ditkit.models.pixart import PixArt, PixArtParams
from ditkit.models.prompts import PixArtConditioning, Prompts
from ditkit.models.spec import Defaults, ModelSpec
from ditkit.results.folder import RunFolder
from ditkit.results.progress import NoProgress
from ditkit.tasks import ground, sample
from ditkit.text.encoder import ENCODERS
from tests.closeness import near
from tests.models.tiny import drawn
from tests.text.tiny import SPEC, write_encoder

PROMPT = "a hot dog and two cats"
HOT_DOG = {"text": "hot dog", "boxes": [[0.05, 0.1, 0.45, 0.9]]}
CATS = {"text": "cats", "boxes": [[0.5, 0.5, 0.75, 1], [0.75, 0.5, 1, 1]]}
SUN = {"text": "sun", "boxes": [[0.2, 0.2, 0.6, 0.8]]}
ENTRY: dict[str, Any] = {"prompt": PROMPT, "phrases": [HOT_DOG, CATS]}
WIDE: dict[str, Any] = {"prompt": "the sun", "phrases": [SUN], "width": 300, "height": 160}
TOKENS = 32
PARAMS = PixArtParams(
    width=24, depth=2, heads=2, patch=16, input_size=256, channels=3, caption_width=16, caption_tokens=TOKENS, micro_conditions=True
)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[str, str, str]:
    """A tiny PixArt whose latents are its pixels, the file of its random weights, and the folder of its text encoder."""
    spec = ModelSpec("tiny-pixart-16", "pixart", PARAMS, "linear", "pixels", 256, 6, Defaults("dpm-solver++", 2, 4.5), text="t5-tiny")
    monkeypatch.setitem(registry.SPECS, spec.name, spec)
    monkeypatch.setitem(ENCODERS, "t5-tiny", replace(SPEC, tokens=TOKENS))
    file = tmp_path / "pixart.safetensors"
    checkpoints.save(drawn(registry.build(spec)).state_dict(), file, model=spec.name, params=PARAMS)
    return spec.name, str(file), str(write_encoder(tmp_path / "t5"))


@pytest.fixture
def config(model: tuple[str, str, str], tmp_path: Path) -> GroundConfig:
    name, weights, t5 = model
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps([ENTRY, WIDE]))
    return GroundConfig(model=name, weights=weights, text=TextConfig(path=t5), boxes=str(file), count=2, out=str(tmp_path / "run"))


def pictures(folder: str | Path | None, kind: str = "images") -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((Path(str(folder)) / kind).iterdir())}


def size(file: Path) -> tuple[int, int]:
    with Image.open(file) as image:
        return image.size


def pixels(file: Path) -> torch.Tensor:
    with Image.open(file) as image:
        return torch.tensor(list(image.tobytes()))


def test_a_run_leaves_pictures_boxes_strips_a_grid_and_a_manifest(config: GroundConfig) -> None:
    report = ground.run(replace(config, frames=2), NoProgress())
    folder = Path(str(config.out))
    names = [f"00000{index}.png" for index in range(4)]
    assert [list(pictures(folder, kind)) for kind in ("images", "boxed", "steps")] == [names] * 3
    sizes = [size(folder / "images" / name) for name in names]
    assert sizes == [(256, 256)] * 2 + [(300, 160)] * 2
    assert size(folder / "steps" / names[0]) == (2 * 256 + 4, 256)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["request"]["seeds"] == [0, 1, 0, 1]
    assert manifest["request"]["labels"] == [0, 0, 1, 1]
    assert manifest["request"]["rules"]["pulls"] == 3
    assert [layout["prompt"] for layout in manifest["request"]["layouts"]] == [PROMPT, "the sun"]
    assert [image["prompt"] for image in manifest["images"]] == [PROMPT, PROMPT, "the sun", "the sun"]
    assert report.data["sampled"] == 4 and (folder / "grid.png").exists()


def test_a_manifest_repeats_its_run_bit_for_bit_without_the_file(config: GroundConfig, tmp_path: Path) -> None:
    ground.run(replace(config, rules=RulesConfig("fast", share=0.75), cache=EveryCache(period=2)), NoProgress())
    Path(str(config.boxes)).unlink()
    again = GroundConfig(source=str(config.out), out=str(tmp_path / "again"))
    ground.run(again, NoProgress())
    assert pictures(again.out) == pictures(config.out)
    with pytest.raises(OutputError, match=r"is of a run of ditkit ground; repeat it with ditkit ground --from$"):
        sample.run(SampleConfig(source=str(config.out)), NoProgress())


def test_a_rerun_makes_only_what_is_missing_and_makes_it_the_same(config: GroundConfig) -> None:
    ground.run(config, NoProgress())
    before = pictures(config.out)
    RunFolder(Path(str(config.out))).image_file(2).unlink()
    assert ground.run(config, NoProgress()).data["sampled"] == 4  # a batch of four, so that its bits stay
    assert pictures(config.out) == before
    with pytest.raises(OutputError, match=r"holds a run that differs in rules; choose another folder with --out$"):
        ground.run(replace(config, rules=RulesConfig("fast")), NoProgress())


def test_strips_are_not_asked_of_pictures_that_are_made_already(config: GroundConfig) -> None:
    ground.run(replace(config, frames=0), NoProgress())
    with pytest.raises(OutputError, match="holds a run that differs in frames; choose another folder with --out"):
        ground.run(replace(config, frames=2), NoProgress())


def test_lost_boxes_are_drawn_again(config: GroundConfig) -> None:
    ground.run(config, NoProgress())
    boxed = Path(str(config.out)) / "boxed" / "000000.png"
    before = boxed.read_bytes()
    boxed.unlink()
    ground.run(config, NoProgress())
    assert boxed.read_bytes() == before


def test_a_picture_depends_on_its_layout_and_seed_alone(config: GroundConfig, tmp_path: Path) -> None:
    ground.run(config, NoProgress())
    file = tmp_path / "one.json"
    file.write_text(json.dumps(WIDE))
    ground.run(replace(config, boxes=str(file), count=1, seed=1, out=str(tmp_path / "one")), NoProgress())
    files = tmp_path / "one" / "images" / "000000.png", tmp_path / "run" / "images" / "000003.png"
    one, other = map(pixels, files)
    assert (one - other).abs().max() <= 1  # a unit of rounding, for it was in another batch


def test_without_boxes_pictures_are_those_of_ditkit_sample(config: GroundConfig, tmp_path: Path) -> None:
    given = {"model": config.model, "weights": config.weights, "text": config.text}
    plain = SampleConfig(**given, prompts=[PROMPT], count=2, batch=4, out=str(tmp_path / "plain"))  # pyright: ignore[reportArgumentType]
    sample.run(plain, NoProgress())
    ground.run(replace(config, boxes=None, prompt=PROMPT), NoProgress())
    assert pictures(config.out) == pictures(plain.out)


def test_rules_are_those_that_the_configuration_names() -> None:
    assert sorted(RULES) == sorted(RULE_SETS)
    assert ground.rules_of(GroundConfig()) == DEFAULT
    changed = RulesConfig("published", pulls=1, blocks=0.5)
    assert ground.rules_of(GroundConfig(rules=changed)) == replace(RULES["published"], pulls=1, blocks=0.5)


def test_an_estimate_says_what_grounding_adds(config: GroundConfig) -> None:
    report = ground.estimate(config)
    plain, extra = report.data["multiply_adds"], report.data["grounding_multiply_adds"]
    assert report.facts["multiply-adds of grounding"] == f"at most {extra / 1e9:.2f} G, {1 + extra / plain:.2f}x the plain run in all"
    assert 0 < ground.estimate(replace(config, rules=RulesConfig("fast"))).data["grounding_multiply_adds"] < extra
    published = ground.estimate(replace(config, rules=RulesConfig("published"))).data
    assert 0 < report.data["gradient_bytes"] < published["gradient_bytes"] < published["peak_bytes"]
    assert 0 < ground.estimate(replace(config, recompute=True)).data["gradient_bytes"] < report.data["gradient_bytes"]
    none = ground.estimate(replace(config, boxes=None, prompt="the sun")).data
    assert none["grounding_multiply_adds"] == none["gradient_bytes"] == 0
    assert not Path(str(config.out)).exists()


@pytest.mark.parametrize("recompute", [False, True])
def test_memory_for_gradients_is_what_a_real_pull_keeps(recompute: bool) -> None:
    params = PixArtParams(width=24, depth=3, heads=2, patch=2, input_size=16, caption_width=10, caption_tokens=7)
    network = drawn(PixArt(params)).requires_grad_(False)
    vectors, *prompt = network.condition(torch.tensor([1.0]), network.prepare(Prompts(torch.randn(1, 7, 10), torch.ones(1, 7))))
    conditioning = PixArtConditioning(vectors, *(value.expand(2, *value.shape[1:]) for value in prompt))
    own = {value.untyped_storage().data_ptr() for value in (*network.parameters(), *network.buffers())}
    kept: dict[int, int] = {}
    alive = []

    def keep(value: torch.Tensor) -> torch.Tensor:
        alive.append(value)
        kept[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    x = torch.randn(2, 4, 12, 16, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        attention_maps(network, x, conditioning, torch.ones(7, 1), DEFAULT.used_blocks(3), recompute=recompute)
    counted = sum(size for place, size in kept.items() if place not in own)
    assert gradient_bytes(params, (12, 16), 2, DEFAULT, 4, recompute=recompute) == near(counted, within=0.02 * counted)


def refused(config: GroundConfig, words: str) -> None:
    with pytest.raises(DitkitError) as caught:
        ground.run(config, NoProgress())
    assert str(caught.value) == words


def test_what_cannot_be_drawn_is_one_line(config: GroundConfig, tmp_path: Path) -> None:
    said = replace(config, boxes=None, prompt=PROMPT)
    gone = tmp_path / "gone"
    compiled = replace(said, box=["hot dog: 0,0,1,1"], runtime=RuntimeConfig(compile=True))
    beyond = replace(config, boxes=None, layouts=json.dumps({**WIDE, "width": 3000}))
    here = f"the prompt '{PROMPT}'"
    for asked, words in (
        (replace(config, model="dit-emoji"), "dit-emoji cannot be grounded, which takes a PixArt, as pixart-emoji"),
        (replace(said, boxes=config.boxes), "--boxes and --prompt both say what to draw; give one of them"),
        (
            replace(config, boxes=None, box=["dog: 0,0,1,1"]),
            "--box gives the box of a phrase of --prompt; say the prompt too, or put both into a file for --boxes",
        ),
        (
            replace(said, box=["cat: 0,0,1,1"]),
            f"the phrase 'cat' is not in {here}, only inside longer words; copy it from the prompt",
        ),
        (replace(config, height=96, width=128), "--size is of the picture of --prompt; a layout says its own width and height"),
        (replace(said, height=96), "a layout gives width and height, or neither"),
        (replace(said, box=["sun: 0,0,1,1"]), f"the phrase 'sun' is not in {here}; copy it from the prompt"),
        (
            replace(said, box=["hot dog: 0,0,1"]),
            "cannot read the box 'hot dog: 0,0,1'; write it as --box \"dog: 0.1,0.2,0.5,0.9\" (left, top, right, bottom)",
        ),
        (
            replace(said, text=TextConfig(path=str(gone))),
            f"text.path={gone}: no such folder; give one with text_encoder/ and tokenizer/, or leave it out to fetch t5-tiny",
        ),
        (compiled, "grounded sampling does not run as compiled graphs; leave out runtime.compile=true"),
        (beyond, "tiny-pixart-16 makes shapes from 128x512 to 512x128 (height x width), and 160x3000 is beyond them"),
    ):
        refused(asked, words)


def test_what_is_cut_off_a_prompt_is_said_and_a_phrase_in_it_is_refused(config: GroundConfig) -> None:
    said: list[str] = []

    class Noted(NoProgress):
        def note(self, text: str) -> None:
            said.append(text)

    long = ", ".join([PROMPT] * 4 + ["the sun"])
    ground.run(replace(config, boxes=None, prompt=long, box=["hot dog: 0,0,0.5,1"], count=1), Noted())
    assert len(said) == 1 and said[0].endswith("the sun'") and "31 are read; cut off is: '" in said[0]
    with pytest.raises(RequestError, match=r"^the phrase 'sun' comes after the first 31 tokens of its prompt, which are all that is read$"):
        ground.run(replace(config, boxes=None, prompt=long, box=["sun: 0,0,0.5,1"]), NoProgress())


@pytest.mark.slow
def test_no_layout_file_ever_shows_a_traceback(config: GroundConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole command, on files of which something is missing, doubled or replaced."""
    from typer.testing import CliRunner

    chance = random.Random(1)
    text = json.dumps([ENTRY, WIDE])
    file = tmp_path / "fuzzed.json"
    words = ["ground", f"--boxes={file}", f"--model={config.model}", "--dry-run"]
    codes = set()
    for _ in range(30):
        start = chance.randrange(len(text))
        piece = chance.choice(["", "}", "[[", "NaN", "-1", "1e999", '"\\ud800"', "null", "dog", "\x00", text[start : start + 40]])
        file.write_text(text[:start] + piece + text[start + chance.choice([0, 1, 3, 20]) :])
        result = CliRunner().invoke(app, words)
        assert result.exit_code in (0, 2), result.output
        if result.exit_code:
            assert result.stderr.count("\n") == 1 and result.stderr.startswith("ditkit: "), result.stderr
        codes.add(result.exit_code)
    assert codes == {0, 2}


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_grounded_pictures_whose_numbers_stop_being_finite_say_where_and_are_not_written(config: GroundConfig, precision: str) -> None:
    state = checkpoints.read_checkpoint(Path(str(config.weights))).state
    state["t_block.1.bias"] = torch.full_like(state["t_block.1.bias"], 1e8 if precision == "float16" else 3e38)
    checkpoints.save(state, Path(str(config.weights)), model=config.model, params=PARAMS)
    with pytest.raises(RequestError) as caught:
        ground.run(replace(config, runtime=RuntimeConfig(precision=precision)), NoProgress())
    line = f"the numbers of all 4 images stopped being finite in {precision}, first in evaluation 1"
    assert str(caught.value).startswith(line), str(caught.value)
    assert not list(Path(str(config.out)).rglob("*.png"))
