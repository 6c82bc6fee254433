"""The solvers by name. `SOLVERS[name](schedule, evaluations, **options)` makes one."""

from collections.abc import Callable

from ditkit.diffusion.solvers.ddim import ddim
from ditkit.diffusion.solvers.ddpm import ddpm
from ditkit.diffusion.solvers.dpm2 import dpm_solver_2
from ditkit.diffusion.solvers.dpmpp import dpm_solver_pp
from ditkit.diffusion.solvers.solver import Denoise, Solver, State

SOLVERS: dict[str, Callable[..., Solver]] = {
    "ddim": ddim,
    "ddpm": ddpm,
    "dpm-solver-2": dpm_solver_2,
    "dpm-solver++": dpm_solver_pp,
}

__all__ = ["SOLVERS", "Denoise", "Solver", "State", "ddim", "ddpm", "dpm_solver_2", "dpm_solver_pp"]
