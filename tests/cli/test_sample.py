"""`ditkit sample`: from the words typed to the configuration that the task gets."""

import json

import pytest

from ditkit.config.schema import AutoCache, DDIMConfig, EveryCache, FileCache, SampleConfig, TextConfig
from ditkit.results.progress import Progress

BFLOAT16 = TextConfig(path="t5", precision="bfloat16")


def test_without_words_it_asks_for_the_defaults(ditkit_command, asked):
    ditkit_command("sample")
    [(name, (config, _))] = asked.calls
    assert (name, config) == ("sample.run", SampleConfig())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model", "uvit-emoji", "--count", "4", "--seed", "7"], SampleConfig(model="uvit-emoji", count=4, seed=7)),
        (["--class", "cat", "--class", "5"], SampleConfig(classes=["cat", "5"])),
        (["--prompt", "a cat, 'b'", "--prompt", "[dog]"], SampleConfig(prompts=["a cat, 'b'", "[dog]"])),
        (["--prompts", "my prompts.txt", "--negative", ""], SampleConfig(prompt_file="my prompts.txt", negative="")),
        (["--size", "384x640", "text.path=t5", "text.precision=bfloat16"], SampleConfig(height=384, width=640, text=BFLOAT16)),
        (["--steps", "20", "--guidance", "1.5", "--batch", "8"], SampleConfig(steps=20, guidance=1.5, batch=8)),
        (["--out", "my runs/a=b, c's"], SampleConfig(out="my runs/a=b, c's")),
        (["--weights", "random"], SampleConfig(weights="random")),
        (["--solver", "ddim", "sampler.eta=0.5"], SampleConfig(sampler=DDIMConfig(eta=0.5))),
        (["--cache"], SampleConfig(cache=AutoCache())),
        (["cache=every", "cache.period=3"], SampleConfig(cache=EveryCache(period=3))),
        (["--plan", "p q.json"], SampleConfig(cache=FileCache(path="p q.json"))),
        (["--from", "runs/a/manifest.json"], SampleConfig(source="runs/a/manifest.json")),
        (["steps=20", "--seed", "3", "count=2"], SampleConfig(steps=20, seed=3, count=2)),
    ],
)
def test_flags_and_overrides_become_the_configuration(ditkit_command, asked, words: list[str], expected: SampleConfig):
    result = ditkit_command("sample", *words)
    assert result.exit_code == 0, result.stderr
    [(_, (config, _))] = asked.calls
    assert config == expected


def test_the_task_is_given_something_to_report_progress_to(ditkit_command, asked):
    ditkit_command("sample")
    [(_, (_, progress))] = asked.calls
    assert isinstance(progress, Progress)


def test_the_result_is_printed_on_stdout(ditkit_command):
    result = ditkit_command("sample")
    assert result.stdout == "dit-emoji\n  images  2\n  reused  50.0%\nwrote runs/x/grid.png\n"


def test_json_is_all_there_is_on_stdout(ditkit_command):
    result = ditkit_command("sample", "--json")
    assert json.loads(result.stdout) == {
        "title": "dit-emoji",
        "facts": {"images": 2, "reused": "50.0%"},
        "rows": [],
        "files": ["runs/x/grid.png"],
        "notes": [],
        "data": {"seconds": 0.5},
    }


def test_only_the_first_of_several_processes_prints(ditkit_command, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert ditkit_command("sample").output == ""


def test_cfg_prints_the_configuration_and_runs_nothing(ditkit_command, asked):
    result = ditkit_command("sample", "--cfg", "--steps", "20")
    assert result.stdout.startswith("model: dit-emoji\n") and "steps: 20\n" in result.stdout
    assert asked.calls == []


def test_a_dry_run_only_estimates(ditkit_command, asked):
    ditkit_command("sample", "--dry-run", "--count", "3")
    assert asked.calls == [("sample.estimate", (SampleConfig(count=3),))]
