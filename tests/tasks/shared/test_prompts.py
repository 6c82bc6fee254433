"""Sampling what is asked in words: each prompt read once, every size, the same through every door."""

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ditkit
from ditkit.config.compose import compose
from ditkit.config.schema import (
    BenchConfig,
    DataConfig,
    EveryCache,
    FileCache,
    SampleConfig,
    SimilarityCache,
    TextConfig,
    TrainRouterConfig,
    option,
)
from ditkit.errors import CheckpointError, DataError, DitkitError, RequestError
from ditkit.models import aspect_bins, registry
from ditkit.models.pixart import PixArt
from ditkit.results.progress import NoProgress
from ditkit.tasks import bench, sample, train_router
from ditkit.tasks import plan as plan_task
from ditkit.tasks.shared import build, prompts
from ditkit.text import encoder
from ditkit.text.encoder import load_encoder
from tests.closeness import assert_close, evaluated, near

LONG = "two hot dogs and the brown cats and a tree and the sun and two dogs and a cat"


@pytest.fixture
def config(tiny_pixart: str, pixart_weights: str, t5: str, tmp_path: Path) -> SampleConfig:
    words = ["a hot dog", "the sun"]
    text = TextConfig(path=t5)
    return SampleConfig(model=tiny_pixart, weights=pixart_weights, prompts=words, text=text, out=str(tmp_path / "run"), batch=2)


def pictures(folder: str | Path | None) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((Path(str(folder)) / "images").iterdir())}


def manifest(folder: str | Path | None) -> dict[str, Any]:
    return json.loads((Path(str(folder)) / "manifest.json").read_text())


class Notes(NoProgress):
    """Remembers what was noted."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def test_a_prompt_is_drawn_as_often_as_is_asked_and_the_manifest_says_all(config: SampleConfig, t5: str) -> None:
    report = sample.run(replace(config, count=2, negative="a tree"), NoProgress())
    made = manifest(config.out)
    assert len(pictures(config.out)) == report.data["images"] == 4
    assert made["request"]["prompts"] == ["a hot dog", "the sun"]
    assert made["request"]["negative"] == "a tree"
    assert made["request"]["text_encoder"] == {"weights": f"file:{t5}", "commit": None, "precision": "float32"}
    assert [(image["prompt"], image["seed"]) for image in made["images"]] == [
        ("a hot dog", 0),
        ("the sun", 1),
        ("a hot dog", 2),
        ("the sun", 3),
    ]
    assert made["request"]["solver"] == "dpm-solver++" and made["request"]["guidance"] == 4.5


def test_without_a_number_there_is_one_picture_for_each_prompt(config: SampleConfig) -> None:
    assert sample.run(config, NoProgress()).data["images"] == 2


def test_words_decide_what_is_drawn(config: SampleConfig, tmp_path: Path) -> None:
    first = pictures(sample.run(config, NoProgress()).data["out"])
    other = replace(config, prompts=["a hot dog", "two cats"], out=str(tmp_path / "other"))
    second = pictures(sample.run(other, NoProgress()).data["out"])
    away = replace(config, negative="a tree", out=str(tmp_path / "away"))
    third = pictures(sample.run(away, NoProgress()).data["out"])
    assert first["000000.png"] == second["000000.png"] != third["000000.png"]
    assert first["000001.png"] != second["000001.png"]


def test_text_is_read_once_and_keys_are_made_once_for_a_batch_whatever_the_steps(
    config: SampleConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[list[str]] = []
    prepared: list[int] = []
    encode, prepare = encoder.encode, PixArt.prepare
    monkeypatch.setattr(prompts, "encode", lambda words, *rest, **named: (read.append(list(words)), encode(words, *rest, **named))[1])
    monkeypatch.setattr(PixArt, "prepare", lambda self, said: (prepared.append(said.mask.shape[1]), prepare(self, said))[1])
    sample.run(replace(config, count=2, batch=4, steps=6), NoProgress())
    assert read == [["a hot dog", "the sun", ""]]
    assert prepared == [3]  # two prompts and the empty one


def test_a_rerun_makes_only_what_is_missing_and_other_words_are_refused(config: SampleConfig) -> None:
    sample.run(config, NoProgress())
    before = pictures(config.out)
    (Path(str(config.out)) / "images" / "000001.png").unlink()
    assert sample.run(config, NoProgress()).data["sampled"] == 2
    assert pictures(config.out) == before
    with pytest.raises(DitkitError, match="holds a run that differs in prompts; choose another folder with --out"):
        sample.run(replace(config, prompts=["a hot dog", "two cats"]), NoProgress())


def test_a_manifest_repeats_its_run_without_the_file_of_prompts(config: SampleConfig, tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("two cats\n\n  the brown dog \n", encoding="utf-8")
    sample.run(replace(config, prompt_file=str(file), negative="a tree", height=100, width=300), NoProgress())
    file.unlink()
    again = SampleConfig(source=str(config.out), out=str(tmp_path / "again"))
    sample.run(again, NoProgress())
    assert manifest(again.out)["request"]["prompts"] == ["a hot dog", "the sun", "two cats", "the brown dog"]
    assert pictures(again.out) == pictures(config.out)


@pytest.mark.parametrize("solver", ["ddim", "ddpm", "dpm-solver-2", "dpm-solver++"])
def test_every_solver_draws_with_and_without_a_plan(config: SampleConfig, tmp_path: Path, solver: str) -> None:
    asked = replace(config, sampler=option("sampler", solver), prompts=["the sun"], steps=4)
    plain = pictures(sample.run(asked, NoProgress()).data["out"])
    cached = sample.run(replace(asked, cache=EveryCache(period=2), out=str(tmp_path / "cached")), NoProgress())
    assert cached.data["reused"] == 0.5
    assert plain != pictures(tmp_path / "cached")


def test_a_plan_is_calibrated_on_the_prompts_and_a_file_of_it_serves_again(config: SampleConfig, tmp_path: Path) -> None:
    asked = replace(config, cache=SimilarityCache(samples=2), steps=4)
    sample.run(asked, NoProgress())
    made = manifest(config.out)["request"]["plan"]
    assert made["model"] == config.model
    (tmp_path / "plan.json").write_text(json.dumps(made))
    assert plan_task.show(str(tmp_path / "plan.json")).facts
    sample.run(replace(asked, cache=FileCache(path=str(tmp_path / "plan.json")), out=str(tmp_path / "again")), NoProgress())
    assert pictures(tmp_path / "again") == pictures(config.out)


@pytest.mark.parametrize("trial", ["evaluations", "runs"])
def test_plans_are_learned_from_the_prompts_and_compared_on_them(config: SampleConfig, tmp_path: Path, trial: str) -> None:
    shared: dict[str, Any] = {
        "model": config.model,
        "weights": config.weights,
        "text": config.text,
        "prompts": ["a hot dog, two cats", "the sun"],
    }
    learning = TrainRouterConfig(
        **shared, trial=trial, steps=2, batch=3, samples=2, evaluations=4, budget=0.8, out=str(tmp_path / "router")
    )
    report = train_router.run(learning, NoProgress())
    assert 0.6 < report.data["kept"] <= 0.8
    plan = str(tmp_path / "router" / "plan.json")
    measuring = BenchConfig(**shared, steps=4, count=4, batch=4, plans=[plan], policies=["every"], fewer=[2], out=str(tmp_path / "bench"))
    scores = bench.run(measuring, NoProgress()).data["scores"]
    assert [score["error"] > 0 for score in scores] == [False, True, True, True]
    command = shlex.split(json.loads((tmp_path / "bench" / "bench.json").read_text())["command"])
    assert compose(BenchConfig, [f"model={command[2]}", *command[3:]]) == measuring


def test_commands_that_need_prompts_say_so_and_others_refuse_them(config: SampleConfig, tmp_path: Path) -> None:
    model: dict[str, Any] = {"model": config.model, "weights": config.weights}
    with pytest.raises(RequestError, match="^tiny-pixart reads prompts; give some with --prompts FILE$"):
        bench.run(BenchConfig(**model), NoProgress())
    with pytest.raises(RequestError, match="^tiny-pixart reads prompts; give some with --prompts FILE$"):
        train_router.run(TrainRouterConfig(**model, evaluations=4, budget=None, out=str(tmp_path / "router")), NoProgress())
    with pytest.raises(RequestError, match="^dit-emoji reads no prompts; leave them out$"):
        bench.run(BenchConfig(weights="random", prompts=["a cat"]), NoProgress())
    data = DataConfig(path=str(tmp_path / "data"))
    said = TrainRouterConfig(
        **model, prompts=["a cat"], text=config.text, data=data, evaluations=4, budget=None, out=str(tmp_path / "router")
    )
    with pytest.raises(RequestError, match="^tiny-pixart reads prompts and learns from its own trajectories only; leave out --data$"):
        train_router.run(said, NoProgress())


def test_a_size_is_made_at_the_nearest_trained_shape_and_cropped(config: SampleConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[torch.Tensor] = []
    prepare = PixArt.prepare
    monkeypatch.setattr(PixArt, "prepare", lambda self, said: (told.append(said.sizes), prepare(self, said))[1])
    report = sample.run(replace(config, height=100, width=300), NoProgress())
    with Image.open(Path(str(config.out)) / "images" / "000000.png") as image:
        assert image.size == (300, 100)
    shape = aspect_bins.nearest_bin(100, 300, 256)
    assert (shape.height, shape.width) == (144, 432)
    assert report.notes == ["made at 144x432, the nearest trained shape, then scaled and cropped"]
    assert told[0][0, 0].tolist() == near([144, 432, 144 / 432], dtype=torch.float32)
    assert manifest(config.out)["request"]["size"] == [100, 300]


def test_a_trained_shape_is_left_as_it_is(config: SampleConfig) -> None:
    report = sample.run(replace(config, height=176), NoProgress())
    assert report.notes == ["made at 208x304, the nearest trained shape, then scaled and cropped"]
    exact = sample.run(replace(config, height=208, width=304, out=f"{config.out}-exact"), NoProgress())
    assert exact.notes == []


def test_an_estimate_reads_no_prompt_and_counts_the_shape(config: SampleConfig, tmp_path: Path) -> None:
    nowhere = replace(config, weights=None, text=TextConfig(path=str(tmp_path / "nowhere")))
    square = sample.estimate(nowhere)
    wide = sample.estimate(replace(nowhere, height=128, width=512, cache=EveryCache(period=2)))
    assert square.data["images"] == 2
    assert square.data["prompt_bytes"] == (4 + 3) * 2 * 2 * 14 * 24 * 4  # rows and columns, keys and values, blocks, tokens, width
    assert square.facts["memory for prompts"] == "0 MiB" and square.data["text_encoder_bytes"] == 1000 * 4
    assert square.facts["memory for the text encoder"] == "0 MiB, before anything is sampled"
    assert sample.estimate(replace(nowhere, text=replace(nowhere.text, precision="bfloat16"))).data["text_encoder_bytes"] == 1000 * 2
    assert wide.data["multiply_adds_without_plan"] == square.data["multiply_adds"]  # 8 x 32 tokens are 16 x 16
    assert 0 < wide.data["multiply_adds"] < square.data["multiply_adds"]
    assert not Path(str(config.out)).exists()


def test_python_draws_the_pictures_that_the_command_draws(config: SampleConfig, t5: str) -> None:
    sample.run(replace(config, negative="a tree", height=100, width=300), NoProgress())
    model = ditkit.load(config.model, config.weights)
    images = ditkit.sample(model, prompts=config.prompts, negative="a tree", size=(100, 300), text=t5, batch=2)
    for index, image in enumerate(images):
        with Image.open(Path(str(config.out)) / "images" / f"{index:06d}.png") as file:
            assert np.array_equal(np.asarray(file), np.asarray(image))
    again = ditkit.sample(model, prompts=["the sun"], negative="a tree", size=(100, 300), text=t5, seeds=[1])
    assert np.abs(np.asarray(again[0], dtype=int) - np.asarray(images[1], dtype=int)).max() <= 1


def test_bfloat16_reads_nearly_the_same(config: SampleConfig, t5: str) -> None:
    model = build.model(config)
    exact, rounded = (
        prompts.prompt_table(["two cats"], None, TextConfig(path=t5, precision=name), model, NoProgress())
        for name in ("float32", "bfloat16")
    )
    assert rounded.rows.features.dtype == torch.bfloat16
    assert rounded.origin["precision"] == "bfloat16"
    rounding = evaluated(load_encoder(Path(t5) / "text_encoder", torch.bfloat16))
    assert_close(rounded.rows.features, exact.rows.features, rounding)


def test_what_is_cut_off_a_long_prompt_is_said_once(config: SampleConfig) -> None:
    progress = Notes()
    sample.run(replace(config, prompts=[LONG], count=2), progress)
    [line] = progress.lines
    assert line.startswith("a prompt has ") and "tokens and 13 are read; cut off is: '" in line and line.endswith("and a cat'")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"prompts": []}, "tiny-pixart reads prompts; say what to draw with --prompt TEXT, or --prompts FILE"),
        ({"classes": ["cat"]}, "tiny-pixart has no classes, it reads prompts; use --prompt in place of --class"),
        (
            {"height": 256, "width": 2000},
            "tiny-pixart makes shapes from 128x512 to 512x128 (height x width), and 256x2000 is beyond them",
        ),
        ({"width": 40}, "tiny-pixart makes shapes from 128x512 to 512x128 (height x width), and 256x40 is beyond them"),
        (
            {"negative": "a cat", "guidance": 1.0},
            "guidance 1 leads away from nothing; leave out --negative, or give a --guidance of more than 1",
        ),
        ({"model": "dit-emoji"}, "dit-emoji reads no prompts; ask it with --class NAME"),
        ({"model": "uvit-cifar10-s-2"}, "uvit-cifar10-s-2 reads no prompts; it draws what it likes"),
        ({"model": "dit-emoji", "prompts": [], "width": 64}, "dit-emoji makes pictures of 64 x 64 only; leave out --size"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_read(config: SampleConfig, changes: dict[str, Any], line: str) -> None:
    for command in (lambda asked: sample.run(asked, NoProgress()), sample.estimate):
        with pytest.raises(RequestError) as caught:
            command(replace(config, weights="nowhere.safetensors", **changes))
        assert str(caught.value) == line
    assert not Path(str(config.out)).exists()


def test_python_is_refused_in_the_same_words(config: SampleConfig) -> None:
    model = ditkit.load(config.model, config.weights)
    with pytest.raises(RequestError, match="^tiny-pixart reads prompts; say what to draw"):
        ditkit.sample(model)


def test_files_of_prompts_that_hold_none_are_one_line(config: SampleConfig, tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    for content, line in (
        (b"\n  \n", "holds no prompts; write one on each line"),
        (b"\xff", "is not text in UTF-8: byte 0 cannot be read; save it as UTF-8"),
    ):
        file.write_bytes(content)
        with pytest.raises(DataError) as caught:
            sample.run(replace(config, prompt_file=str(file)), NoProgress())
        assert str(caught.value) == f"{file} {line}"
    with pytest.raises(DataError, match=r"^cannot read the prompts of .*gone\.txt: No such file or directory$"):
        sample.run(replace(config, prompt_file=str(tmp_path / "gone.txt")), NoProgress())


def test_a_prompt_goes_on_to_the_end_of_its_line_however_the_file_was_written(tmp_path: Path) -> None:
    asked = ["a cat\u2028and a dog", "two\x0cthree\x0bfour\x85five"]
    for encoding, end in (("utf-8-sig", "\r\n"), ("utf-16", "\n"), ("utf-8", "\r")):
        (tmp_path / "prompts.txt").write_bytes(end.join([*asked, "", "  "]).encode(encoding))
        assert prompts.read_prompts(str(tmp_path / "prompts.txt")) == asked


def test_a_text_encoder_that_is_not_there_is_one_line(config: SampleConfig, t5: str) -> None:
    shutil.rmtree(t5)
    with pytest.raises(CheckpointError) as caught:
        sample.run(config, NoProgress())
    assert str(caught.value) == (
        f"text.path={t5}: no such folder; give one with text_encoder/ and tokenizer/, or leave it out to fetch t5-tiny"
    )
    assert not Path(str(config.out)).exists()


def test_every_model_that_reads_prompts_has_shapes_that_fit_its_latents() -> None:
    for spec in registry.SPECS.values():
        if spec.text:
            factor, patch = spec.image_size // spec.params.input_size, spec.params.patch
            assert all(side % (factor * patch) == 0 for shape in aspect_bins.bins(spec.image_size) for side in shape[1:])
            assert prompts.picture_size(spec) == (spec.image_size, spec.image_size)


def test_shapes_are_found_by_both_sides_or_one(tiny_pixart: str) -> None:
    spec = registry.find("pixart-xl-2-1024-ms")
    assert prompts.trained_shape(spec, None, None) is None
    assert prompts.trained_shape(spec, 512, None) == prompts.trained_shape(spec, 512, 1024) == (0.5, 704, 1408)
    assert prompts.trained_shape(spec, 10, 40) == (0.25, 512, 2048)


def test_the_text_encoder_beside_the_weights_is_the_one_that_reads(config: SampleConfig, t5: str, tmp_path: Path) -> None:
    sample.run(config, NoProgress())
    beside = tmp_path / "trained"
    shutil.copytree(t5, beside)
    weights = shutil.copy(str(config.weights), beside / "model.safetensors")
    sample.run(replace(config, weights=str(weights), text=TextConfig(), out=str(tmp_path / "again")), NoProgress())
    assert pictures(tmp_path / "again") == pictures(config.out)
    assert manifest(tmp_path / "again")["request"]["text_encoder"]["weights"] == f"file:{beside}"


def test_random_weights_read_prompts_at_random_so_that_speed_can_be_measured_without_files(config: SampleConfig) -> None:
    asked = replace(config, weights="random", text=TextConfig(), prompts=["a hot dog", "the sun", "the sun"])
    assert prompts.reader(asked).path == "random"
    model = build.model(asked)
    features, mask, _ = prompts.prompt_table(asked.prompts, None, prompts.reader(asked), model, NoProgress()).rows
    assert mask.sum(1).tolist() == [4, 3, 3, 1]  # a token for each word and one at the end
    assert features[1].equal(features[2]) and not features[0].equal(features[1])
