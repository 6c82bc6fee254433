"""A plan for a model of point clouds, learned from its own trajectories or from clouds, and obeyed."""

from pathlib import Path

import pytest

from ditkit.config.schema import DataConfig, FileCache, Gen3DConfig, TrainRouterConfig
from ditkit.results.progress import NoProgress
from ditkit.tasks import gen3d, train, train_router
from tests.tasks.train.test_clouds import _config


@pytest.mark.parametrize("of_data", [False, True])
def test_a_plan_is_learned_for_clouds_and_obeyed(tiny3d: str, folder_of_clouds: Path, tmp_path: Path, of_data: bool) -> None:
    (weights,) = train.run(_config(folder_of_clouds, tmp_path / "train"), NoProgress()).files
    data = DataConfig(path=str(folder_of_clouds) if of_data else None)
    router = TrainRouterConfig(
        model=tiny3d,
        weights=str(weights),
        data=data,
        evaluations=6,
        budget=0.8,
        steps=3,
        batch=3,
        samples=2,
        out=str(tmp_path / "router"),
    )
    report = train_router.run(router, NoProgress())
    assert report.notes[-1].startswith(f"use it: ditkit gen3d --model {tiny3d} --steps 6 --plan ")
    cache = FileCache(path=str(tmp_path / "router" / "plan.json"))
    made = gen3d.run(
        Gen3DConfig(model=tiny3d, weights=str(weights), steps=6, count=2, cache=cache, out=str(tmp_path / "run")), NoProgress()
    )
    assert made.data["reused"] > 0
