"""`ditkit doctor`: what this installation has, and how to get what it lacks."""

import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch

from ditkit.errors import MissingDependency
from ditkit.results.folder import library_versions
from ditkit.results.report import Cell, Report
from ditkit.shapes.backend import open3d

DOCS = Path(__file__).parent.parent / "docs"
BF16_WORDS = ("avx512_bf16", "amx_bf16", " bf16")  # of /proc/cpuinfo


def run() -> Report:
    """Versions, devices, whether bfloat16 is fast, missing system libraries with the line that brings them, cache and documentation."""
    missing = list(_missing())
    facts: dict[str, Cell] = dict(library_versions())
    facts |= {"devices": ", ".join(_devices()), "bfloat16": _bfloat16(), "downloaded weights": _cache(), "documentation": str(DOCS)}
    data = {"versions": library_versions(), "devices": list(_devices()), "missing": missing}
    return Report("ditkit doctor", facts, notes=missing or ["nothing is missing"], data=data)


def _devices() -> Iterator[str]:
    yield f"cpu ({torch.get_num_threads()} threads, {platform.machine()})"
    yield from (f"cuda:{index} ({torch.cuda.get_device_name(index)})" for index in range(torch.cuda.device_count()))
    if torch.backends.mps.is_available():
        yield "mps"


def _bfloat16() -> str:
    if torch.cuda.is_available():
        return "fast" if torch.cuda.is_bf16_supported() else "slow: this GPU has no instructions for it, stay with float32 or float16"
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    return "fast" if any(word in flags for word in BF16_WORDS) else "slow: this CPU has no instructions for it, stay with float32"


def _missing() -> Iterator[str]:
    try:
        open3d()
    except MissingDependency as error:
        yield str(error)
    if not (os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")):
        yield "runtime.compile=true needs a C++ compiler on the CPU; on Debian, 'apt install g++' brings one"


def _cache() -> str:
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE)
    if not folder.is_dir():
        return f"none in {folder}"
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    return f"{size / 2**20:.0f} MiB in {folder}"
