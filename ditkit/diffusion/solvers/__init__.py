"""The solvers by name. `SOLVERS[name](schedule, evaluations, **options)` makes one."""

from collections.abc import Callable
from functools import partial

from ditkit.diffusion.solvers.adaptive import Dopri5, dopri5
from ditkit.diffusion.solvers.ddim import ddim
from ditkit.diffusion.solvers.ddpm import ddpm
from ditkit.diffusion.solvers.dmd import dmd
from ditkit.diffusion.solvers.dpm2 import dpm_solver_2
from ditkit.diffusion.solvers.dpmpp import dpm_solver_pp
from ditkit.diffusion.solvers.lcm import lcm
from ditkit.diffusion.solvers.runge_kutta import RUNGE_KUTTAS, runge_kutta
from ditkit.diffusion.solvers.solver import Denoise, Solver, State
from ditkit.diffusion.solvers.stochastic import stochastic

SOLVERS: dict[str, Callable[..., Solver]] = {
    "ddim": ddim,
    "ddpm": ddpm,
    "dmd": dmd,
    "dpm-solver-2": dpm_solver_2,
    "dpm-solver++": dpm_solver_pp,
    "lcm": lcm,
    **RUNGE_KUTTAS,
    **{name: partial(stochastic, name) for name in ("euler-maruyama", "stochastic-heun")},
}
ADAPTIVE: dict[str, Callable[..., Dopri5]] = {"dopri5": dopri5}
"""Those that choose their own times, which `engine.adaptive` runs."""
BY_CLEAN_SAMPLES = ("ddim", "ddpm", "dmd", "dpm-solver-2", "dpm-solver++", "lcm")
"""Those that go by the clean sample a network sees, so that it can be kept within a limit; the others follow velocities."""

__all__ = [
    "ADAPTIVE",
    "BY_CLEAN_SAMPLES",
    "SOLVERS",
    "Denoise",
    "Dopri5",
    "Solver",
    "State",
    "ddim",
    "ddpm",
    "dpm_solver_2",
    "dpm_solver_pp",
    "runge_kutta",
    "stochastic",
]
