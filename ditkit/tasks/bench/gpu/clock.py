"""How long the device takes, what it launches and what it allocates; on a CPU the clock, and operators."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ditkit.engine.dispatched import Dispatched

LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch", "cudaMemcpyAsync", "cudaMemsetAsync")


@dataclass(frozen=True)
class Launched:
    """Of one run: what the host asked for, and what the device did. None: not known."""

    calls: int | None = None
    kernels: int | None = None


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """From an idle device until it is idle again; on CUDA between two events."""
    if device.type != "cuda":
        started = time.perf_counter()
        work()
        return time.perf_counter() - started
    torch.cuda.synchronize(device)
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    stream = torch.cuda.current_stream(device)
    begin.record(stream)
    work()
    end.record(stream)
    end.synchronize()
    return begin.elapsed_time(end) / 1000


def peak_bytes(work: Callable[[], object], device: torch.device) -> int | None:
    """The most memory that the work allocates on top of what is there; on a CPU nobody counts it."""
    if device.type != "cuda":
        work()
        return None
    torch.cuda.synchronize(device)
    there = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - there


def launched(work: Callable[[], object], device: torch.device, *, compiled: bool) -> Launched:
    """What a run launches. On a CPU its operators, unless it is compiled: a mode that watches would keep the compiler out."""
    if device.type == "cuda":
        return _profiled(work, device)
    if compiled:
        return Launched()
    with Dispatched() as seen:
        work()
    return Launched(seen.launches)


def _profiled(work: Callable[[], object], device: torch.device) -> Launched:
    from torch.profiler import ProfilerActivity, profile

    with contextlib.suppress(RuntimeError):  # whoever may not profile is told nothing
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
            work()
            torch.cuda.synchronize(device)
        events = list(seen.events() or [])
        on_device = [event.device_type.name == "CUDA" for event in events]
        calls = sum(event.name.startswith(LAUNCHES) for event, there in zip(events, on_device, strict=True) if not there)
        kernels = sum(on_device)
        return Launched(calls or None, kernels or None)
    return Launched()
