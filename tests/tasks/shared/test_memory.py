"""What cannot fit into memory is refused before anything is written."""

from pathlib import Path
from typing import Any

import pytest

from ditkit.config.schema import BenchConfig, DataConfig, Gen3DConfig, SampleConfig, TrainConfig, TrainRouterConfig
from ditkit.errors import RequestError
from ditkit.results.progress import NoProgress
from ditkit.tasks import bench, gen3d, sample, train, train_router
from ditkit.tasks.shared import memory

DRAWINGS = "drawings.npz"  # which is not there: nothing is read before
MANY = r"1000000000 together take at least 465\.7 GiB of memory, and there are 8\.0; use a smaller --count"


@pytest.mark.parametrize(
    ("task", "config", "line"),
    [
        (
            sample,
            SampleConfig(model="pixart-emoji", prompts=["a cat"], height=100_000, width=100_000),
            r"1 at a time take at least 223\.5 GiB of memory, and there are 8\.0; use a smaller --size",
        ),
        (
            sample,
            SampleConfig(count=10**9),
            MANY,
        ),
        (
            gen3d,
            Gen3DConfig(points=10**9),
            r"4 at a time take at least [\d.,]+ GiB of memory, and there are 8\.0; use a smaller --batch or --points",
        ),
        (
            bench,
            BenchConfig(count=10**9),
            MANY,
        ),
        (
            train,
            TrainConfig(batch=10**9, data=DataConfig(path=DRAWINGS)),
            r"1000000000 examples at a time take at least [\d,.]+ GiB of memory, and there are 8\.0; use a smaller --batch",
        ),
        (
            train,
            TrainConfig(model="judge", batch=10**9, data=DataConfig(path=DRAWINGS)),
            r"1000000000 examples at a time take at least 45,776\.4 GiB of memory, and there are 8\.0; use a smaller --batch",
        ),
        (
            train_router,
            TrainRouterConfig(batch=10**9),
            r"1000000000 examples at a time take at least 3,814\.7 GiB of memory, and there are 8\.0; use a smaller --batch",
        ),
        (
            sample,
            SampleConfig(model="pixart-emoji", prompts=["a cat"] * 2**20),
            r"the features of 1048577 prompts take at least 8\.0 GiB of memory, and there are 8\.0; use fewer prompts at a time",
        ),
    ],
)
def test_what_is_too_large_is_refused_before_anything_is_written(tmp_path: Path, monkeypatch, task: Any, config: Any, line: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(memory, "memory", lambda: 2.0**33)
    with pytest.raises(RequestError, match=f"^{line}$"):
        task.run(config, NoProgress())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [10**9, 2**31 - 1])
def test_a_dry_run_of_a_billion_answers_at_once(count: int) -> None:
    assert sample.estimate(SampleConfig(count=count, batch=count)).data["images"] == count
    assert gen3d.estimate(Gen3DConfig(count=count)).data["clouds"] == count


def test_a_limit_of_the_process_counts(monkeypatch) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda _: (2**20, -1))
    assert memory.memory() == 2**20
    monkeypatch.setattr(resource, "getrlimit", lambda _: (-1, -1))
    assert memory.memory() > 2**28
