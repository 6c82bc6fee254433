"""`ditkit accelerate` and `ditkit bench` on a pipeline in a folder: the plan, the page, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from ditkit.cache.plan import read_plan
from ditkit.config.schema import AccelerateConfig, BenchConfig, RuntimeConfig
from ditkit.config.schema.accelerate import PipelineConfig
from ditkit.errors import OutputError, RequestError
from ditkit.results.progress import NoProgress
from ditkit.tasks import accelerate, bench, plan
from tests.pipelines.tiny import tiny
from tests.saved_pipelines import dit, dit_pipeline

pytestmark = pytest.mark.filterwarnings("ignore:::diffusers")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("classes.txt").write_text("1\n2\n3\n4\n5\n6\n", encoding="utf-8")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("pipeline")
    tiny("DiT")[0].save_pretrained(folder)
    return str(folder)


def asked(pipeline: str, **more: object) -> AccelerateConfig:
    return AccelerateConfig(**{"pipeline": pipeline, "prompt_file": "classes.txt", "steps": 6, "measured": 2, **more})  # type: ignore[arg-type]


def test_a_plan_is_calibrated_compared_and_written_with_a_page(pipeline: str) -> None:
    report = accelerate.run(asked(pipeline, out="made/plan.json"), NoProgress())
    made = read_plan(Path("made/plan.json"))
    assert made.model == "DiTPipeline" and sum(map(sum, made.compute)) == 3 and made.provenance["prompts"] == 4
    assert [row[0] for row in report.rows] == ["without a plan", "the plan", "3 steps"]
    errors = {row["name"]: row["errors"] for row in report.data["rows"]}
    assert errors["without a plan"] == [0.0, 0.0] and max(errors["the plan"]) < min(errors["3 steps"])
    page = Path("made/plan.html").read_text(encoding="utf-8")
    assert page.count("<img") == 6 and "ditkit accelerate" in page
    shown = plan.show("made/plan.json")
    assert "computes 3 of 6 evaluations whole and forecasts 3 from the last" in shown.notes[0]


def test_a_bench_of_a_pipeline_measures_plans_and_as_many_fewer_steps(pipeline: str) -> None:
    accelerate.run(asked(pipeline, measured=0), NoProgress())
    report = bench.run(BenchConfig(pipeline, plans=["plan.json"], prompt_file="classes.txt", out="measured"), NoProgress())
    assert [row[0] for row in report.rows] == ["without a plan", "plan", "3 steps"]
    assert json.loads(Path("measured/bench.json").read_text(encoding="utf-8"))["rows"][1]["kept"] == 0.5


def test_what_cannot_be_done_is_said_before_anything_is_written(pipeline: str) -> None:
    Path("one.txt").write_text("1\n", encoding="utf-8")
    Path("words.txt").write_text("a cat\na dog\n", encoding="utf-8")
    Path("empty").mkdir()
    for config, words in (
        (asked(""), "say which pipeline"),
        (asked("empty"), "empty is no pipeline: it has no model_index.json"),
        (asked(pipeline, prompt_file="one.txt"), "at least 2 prompts"),
        (asked(pipeline, prompt_file="words.txt"), "takes classes by number, not 'a cat'"),
        (asked(pipeline, prompt_file=None), "at least 2 prompts"),
    ):
        with pytest.raises(RequestError, match=words):
            accelerate.run(config, NoProgress())
    with pytest.raises(RequestError, match="is a pipeline; say what it is asked for: --prompts FILE"):
        bench.run(BenchConfig(pipeline), NoProgress())
    assert not Path("plan.json").exists() and not Path("runs").exists()


def test_a_plan_that_could_not_be_written_is_not_calibrated(pipeline: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerate, "calibrate", None)  # nothing that could be called
    with pytest.raises(OutputError, match="^classes.txt is a file, not a folder; choose another with --out$"):
        accelerate.run(asked(pipeline, out="classes.txt/plan.json"), NoProgress())


def test_classes_that_the_pipelines_network_has_not_are_refused(tmp_path: Path, pipeline: str) -> None:
    with pytest.raises(RequestError, match="^the pipeline has classes 0 to 999, not 1000$"):
        accelerate.run(asked(pipeline, prompt_file=None, prompts=["1000", "1", "2", "3"]), NoProgress())
    dit_pipeline().save_pretrained(tmp_path / "own")
    line = "^DiTPipeline guides away from class 1000, and its network has 7; ask for a guidance of 1$"
    with pytest.raises(RequestError, match=line):
        accelerate.run(asked(str(tmp_path / "own")), NoProgress())
    accelerate.run(asked(str(tmp_path / "own"), ask=PipelineConfig(guidance=1), steps=4, measured=0), NoProgress())


def test_a_pipeline_whose_numbers_overflow_is_neither_calibrated_nor_compared(tmp_path: Path) -> None:
    transformer: Any = dit()
    transformer.transformer_blocks[1].ff.net[2].weight.data *= 1e8  # more than float16 holds
    dit_pipeline(transformer).save_pretrained(tmp_path / "hot")
    half = {"runtime": RuntimeConfig(precision="float16"), "steps": 4}
    line = "^the numbers of DiTPipeline on '1' stopped being finite, first in call 1 of its network; load it in bfloat16 or float32$"
    with pytest.raises(RequestError, match=line):
        accelerate.run(asked(str(tmp_path / "hot"), ask=PipelineConfig(guidance=1), **half), NoProgress())
    config = BenchConfig(model=str(tmp_path / "hot"), prompt_file="classes.txt", guidance=1, out="bench", **half)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="^the numbers of 'without a plan' on '1' stopped being finite; use a finer runtime.precision$"):
        bench.run(config, NoProgress())
    assert not Path("bench").exists() and not Path("plan.json").exists()
