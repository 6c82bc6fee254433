"""`ditkit bench`: flags and overrides become one configuration."""

import pytest


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ([], {"model": "dit-emoji", "out": "runs/bench-dit-emoji", "plans": [], "count": None}),
        (["uvit-emoji", "--steps", "50"], {"model": "uvit-emoji", "out": "runs/bench-uvit-emoji", "steps": 50}),
        (["--plan", "a.json", "--plan", "b c.json"], {"plans": ["a.json", "b c.json"]}),
        (["--policy", "every", "--policy", "random:0.6", "--fewer", "14"], {"policies": ["every", "random:0.6"], "fewer": [14]}),
        (["--prompts", "a.txt", "text.path=t5"], {"prompt_file": "a.txt"}),
        (["--boxes", "held-out", "--rules", "fast", "--rules", "pull"], {"boxes": "held-out", "rules": ["fast", "pull"]}),
        (["--gpu-report", "minutes=4"], {"model": "all", "gpu_report": True, "minutes": 4.0, "out": "runs/bench-all"}),
        (["dit-xl-2-256", "--gpu-report"], {"model": "dit-xl-2-256", "gpu_report": True, "minutes": 8.0}),
        (["--against", "cache-dit", "--reference", "emoji.npz"], {"against": ["cache-dit"], "reference": "emoji.npz"}),
    ],
)
def test_flags_and_overrides_become_the_configuration(ditkit_command, asked, words: list[str], values: dict):
    result = ditkit_command("bench", *words)
    assert result.exit_code == 0, result.stderr
    ((name, (config, _)),) = asked.calls
    assert name == "bench.run"
    assert {key: getattr(config, key) for key in values} == values


def test_the_configuration_can_be_printed(ditkit_command, asked):
    result = ditkit_command("bench", "--cfg")
    assert "count: null" in result.stdout and asked.calls == []


def test_a_training_step_is_asked_for_as_ditkit_train_is(ditkit_command, asked):
    words = ["--data", "d.npz", "--batch", "8", "scenes.pool=50", "runtime.precision=bfloat16"]
    assert ditkit_command("bench", "pixart-emoji", "--parts", "--train", *words).exit_code == 0
    assert ditkit_command("train", "pixart-emoji", *words).exit_code == 0
    (timed, (config, _)), (trained, (same, _)) = asked.calls
    assert (timed, trained) == ("bench.run_training", "train.run") and config == same and config.optimizer == "muon"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--train"], "--train times the parts of a training step: say --parts too"),
        (["--parts", "--train", "--steps", "3"], "--steps says nothing of a training step; leave it out"),
        (["--rules", "fast"], "--rules says nothing of whole runs, but of ways to enforce boxes; leave it out"),
        (["--beside", "dit-emoji"], "--beside says nothing of whole runs, but of the parts of an evaluation; leave it out"),
        (
            ["--boxes", "held-out", "--policy", "every", "--fewer", "5"],
            "--fewer, --policy says nothing of ways to enforce boxes, but of whole runs; leave it out",
        ),
        (
            ["--parts", "--boxes", "held-out"],
            "--boxes says nothing of the parts of an evaluation, but of ways to enforce boxes; leave it out",
        ),
        (["--parts", "--data", "d.npz"], "--data is what a training step learns from: say --train too"),
    ],
)
def test_what_says_nothing_of_what_is_measured_is_refused(ditkit_command, asked, words: list[str], complaint: str):
    result = ditkit_command("bench", "pixart-emoji", *words)
    assert result.exit_code == 2 and result.stderr == f"ditkit: {complaint}\n" and asked.calls == []
