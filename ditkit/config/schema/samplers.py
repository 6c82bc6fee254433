"""The config group `sampler`: a base class with one subclass per solver. `name` says which it is and cannot be set."""

from dataclasses import dataclass

from ditkit.config.checks import check_budget, check_finite, check_least, check_name, check_part, check_positive


@dataclass
class SamplerConfig:
    """The group `sampler`: which solver, and what only that solver knows.

    `start` is the time at which a run begins: 1 at pure noise, less after the noisiest levels; None as the model does best. `edge` is how
    much of a flow is left out at an end where its network cannot be asked; None as published.
    """

    name: str = ""
    start: float | None = None
    edge: float | None = None

    def __post_init__(self) -> None:
        check_name("sampler", self.name, type(self).name)
        if self.start is not None:
            check_budget("sampler.start", self.start)
        if self.edge is not None:
            check_part("sampler.edge", self.edge)


@dataclass
class ShiftedSampler(SamplerConfig):
    """Those whose time grid can be shifted: u to shift u / (1 + (shift - 1) u), for flows that make large pictures."""

    shift: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_finite("sampler.shift", self.shift)
        check_positive("sampler.shift", self.shift)


@dataclass
class AutoSampler(ShiftedSampler):
    """The solver that the model was published with."""

    name: str = "auto"


@dataclass
class DDIMConfig(ShiftedSampler):
    name: str = "ddim"
    grid: str = "even"
    eta: float = 0.0


@dataclass
class DDPMConfig(SamplerConfig):
    name: str = "ddpm"
    grid: str = "even"
    variance: str | None = None  # learned, fixedsmall or fixedlarge; None is learned where the network predicts it, else fixedsmall


@dataclass
class DMDConfig(SamplerConfig):
    """For networks distilled to one evaluation, or few, by matching distributions."""

    name: str = "dmd"
    level: int = 400  # of the noise schedule, which the network takes noise alone for

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least("sampler.level", self.level, 0)


@dataclass
class DPMSolver2Config(SamplerConfig):
    name: str = "dpm-solver-2"


@dataclass
class DPMSolverPPConfig(ShiftedSampler):
    name: str = "dpm-solver++"
    grid: str | None = None  # None is diffusers' for noise schedules and even for flows
    eta: float = 0.0


@dataclass
class LCMConfig(SamplerConfig):
    """For networks distilled to few steps."""

    name: str = "lcm"
    original: int = 50  # levels that the network was distilled on

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least("sampler.original", self.original, 1)


@dataclass
class RungeKuttaConfig(ShiftedSampler):
    """A solver of the flow itself, of one or more evaluations a step."""

    grid: str = "even"


@dataclass
class EulerConfig(RungeKuttaConfig):
    name: str = "euler"


@dataclass
class HeunConfig(RungeKuttaConfig):
    name: str = "heun"


@dataclass
class MidpointConfig(RungeKuttaConfig):
    name: str = "midpoint"


@dataclass
class Heun3Config(RungeKuttaConfig):
    name: str = "heun3"


@dataclass
class RK4Config(RungeKuttaConfig):
    name: str = "rk4"


@dataclass
class Dopri5Config(SamplerConfig):
    """Steps as long as the tolerances allow; the number of evaluations is at most what is asked for, and is known afterwards."""

    name: str = "dopri5"
    rtol: float = 1e-3
    atol: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rtol", "atol"):
            check_finite(f"sampler.{name}", getattr(self, name))
            check_positive(f"sampler.{name}", getattr(self, name))


@dataclass
class StochasticConfig(SamplerConfig):
    """A solver of the flow's SDE: what it draws anew, and how it ends."""

    form: str = "sigma"  # of the diffusion: constant, sbdm, sigma, linear, decreasing or increasing-decreasing
    norm: float = 1.0  # what the form is multiplied by
    last: str = "mean"  # the last step: mean, tweedie, euler or none
    last_step: float = 0.04  # its length


@dataclass
class EulerMaruyamaConfig(StochasticConfig):
    name: str = "euler-maruyama"


@dataclass
class StochasticHeunConfig(StochasticConfig):
    name: str = "stochastic-heun"


SAMPLERS: tuple[type[SamplerConfig], ...] = (
    AutoSampler,
    DDIMConfig,
    DDPMConfig,
    DMDConfig,
    DPMSolver2Config,
    DPMSolverPPConfig,
    LCMConfig,
    EulerConfig,
    HeunConfig,
    MidpointConfig,
    Heun3Config,
    RK4Config,
    Dopri5Config,
    EulerMaruyamaConfig,
    StochasticHeunConfig,
)
