"""`ditkit accelerate` and `ditkit bench` on a pipeline in a folder: the plan, the page, and what is refused."""

import json
from pathlib import Path

import pytest

from ditkit.cache.plan import read_plan
from ditkit.config.schema import AccelerateConfig, BenchConfig
from ditkit.errors import RequestError
from ditkit.results.progress import NoProgress
from ditkit.tasks import accelerate, bench, plan
from tests.pipelines.tiny import tiny

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
