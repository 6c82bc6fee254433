"""The doctor names what is missing and how to get it."""

from pathlib import Path

import pytest

from ditkit.errors import MissingDependency
from ditkit.tasks import doctor


def test_a_missing_library_is_named_with_the_line_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise MissingDependency("open3d misses libGL.so.1; apt install libgl1")

    monkeypatch.setattr(doctor, "open3d", missing)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    monkeypatch.delenv("CXX", raising=False)
    report = doctor.run()
    assert report.notes == [
        "open3d misses libGL.so.1; apt install libgl1",
        "runtime.compile=true needs a C++ compiler on the CPU; on Debian, 'apt install g++' brings one",
    ]
    assert report.data["missing"] == report.notes


def test_a_whole_installation_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "open3d", lambda: None)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    report = doctor.run()
    assert report.notes == ["nothing is missing"]
    assert str(report.facts["devices"]).startswith("cpu") and "torch" in report.facts
    assert (Path(str(report.facts["documentation"])) / "eval.md").is_file()
    assert str(report.facts["bfloat16"]).split(":")[0] in ("fast", "slow")
