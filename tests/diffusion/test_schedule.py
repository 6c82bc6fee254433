from typing import Any

import numpy as np
import pytest

from ditkit.diffusion.level import Level
from ditkit.diffusion.schedule import NoiseSchedule, linear, named, respace, scaled_linear, warm
from ditkit.errors import ScheduleError, UnknownName
from tests.closeness import assert_close, cancelled, near, summed
from tests.golden_files import golden


@pytest.mark.parametrize("spec", ["", "10", "20", "50", "250", "ddim20", "ddim50"])
def test_the_tables_of_a_respaced_schedule_are_the_published_ones(spec: str) -> None:
    reference = {
        key.split(".")[2]: value.numpy() for key, value in golden("dit_schedules").items() if key.split(".")[1] == (spec or "full")
    }
    tables = linear().respaced(spec)
    assert list(tables.timesteps) == reference["timestep_map"].tolist()
    roundings = cancelled(1 - tables.abar[0], terms=1000)  # a product of a thousand factors, which is subtracted from 1
    for ours, theirs in {
        "betas": "betas",
        "abar": "alphas_cumprod",
        "abar_prev": "alphas_cumprod_prev",
        "posterior_mean_x0": "posterior_mean_coef1",
        "posterior_mean_x": "posterior_mean_coef2",
        "posterior_variance": "posterior_variance",
        "posterior_log_variance": "posterior_log_variance_clipped",
    }.items():
        assert_close(getattr(tables, ours), reference[theirs], roundings, each=True)


@pytest.mark.parametrize(
    ("name", "schedule"), [("linear", linear()), ("warm01_airplane", warm()), ("warm02_T50", warm(50, 1e-4, 0.02, fraction=0.2))]
)
def test_the_point_cloud_schedules_are_the_published_ones(name: str, schedule: NoiseSchedule) -> None:
    reference = {key.split(".")[2]: value.numpy() for key, value in golden("dit3d_schedules").items() if key.split(".")[1] == name}
    assert_close(schedule.betas, reference["betas_f64"], each=True)
    tables = schedule.respaced("")
    assert_close(schedule.abar, reference["alphas_cumprod"], summed(1000), each=True)
    lost = cancelled(1 - schedule.abar[0])  # they subtract in float32
    assert_close(tables.posterior_mean_x0, reference["posterior_mean_coef1"], lost)
    assert_close(tables.posterior_variance, reference["posterior_variance"], lost, each=True)


def test_the_continuous_clock_of_u_vit_is_the_published_one() -> None:
    reference, schedule = golden("uvit_schedule"), scaled_linear()
    assert_close(schedule.betas, reference["out.betas_f64"], each=True)
    assert_close(schedule.abar, reference["out.cum_alphas_f64"][1:], summed(1000), each=True)
    assert_close(schedule.log_alpha, reference["out.log_alpha_discrete_f32"], summed(1000))
    for evaluations in (20, 50):
        tables = {key: reference[f"out.nfe{evaluations}.{key}"] for key in ("timesteps", "lambda", "log_alpha", "sigma")}
        levels = [schedule.level_at(t) for t in tables["timesteps"].tolist()]
        lost = cancelled(levels[-1].sigma ** 2)  # they find sigma as the root of 1 - alpha^2, in float32
        assert_close([level.lam for level in levels], tables["lambda"], lost)
        assert_close([np.log(level.alpha) for level in levels], tables["log_alpha"])
        assert_close([level.sigma for level in levels], tables["sigma"], lost, each=True)


def test_the_time_of_a_level_is_found_again_from_its_log_snr() -> None:
    schedule = linear()
    for t in (0.001, 0.0105, 0.3333, 0.9, 1.0):
        assert schedule.time_at(schedule.level_at(t).lam) == near(t, size=1 / (500 * schedule.betas[0]))


@pytest.mark.parametrize("schedule", [linear(), scaled_linear()])
def test_a_run_that_starts_later_visits_the_same_levels_under_the_same_times(schedule: NoiseSchedule) -> None:
    below = schedule.below(0.7)
    assert below.steps == 700 and np.array_equal(below.abar, schedule.abar[:700])
    assert below.network_time(1.0) == near(schedule.network_time(0.7))
    assert below.level_at(1.0)[:2] == near(schedule.level_at(0.7)[:2])
    assert np.array_equal(schedule.below(1.0).betas, schedule.betas)


@pytest.mark.parametrize("start", [0.0, 0.0001, 1.1, -0.5])
def test_a_start_that_leaves_no_levels_is_refused_in_words(start: float) -> None:
    with pytest.raises(ScheduleError, match="starts at a time above 0 and at most 1, the noisiest of 1000 levels, not"):
        linear().below(start)


def test_the_clocks_agree_on_the_training_levels() -> None:
    schedule = linear()
    for index in (0, 500, 999):
        t = (index + 1) / 1000
        assert schedule.level_at(t)[:2] == near(schedule.level(index)[:2], cancelled(schedule.betas[0], terms=1000))
        assert schedule.network_time(t) == near(index, size=1000)
    assert scaled_linear().network_time(1.0) == 1000


def test_a_clean_level_has_infinite_log_snr() -> None:
    assert Level(1.0, 0.0).lam == np.inf


def test_sections_divide_the_levels_and_the_first_are_longer() -> None:
    assert respace("2,1,2", 11) == (0, 3, 4, 8, 10)
    assert respace("10", 1000) == (0, 111, 222, 333, 444, 555, 666, 777, 888, 999)
    assert respace("1", 1000) == (0,)
    assert respace("3", 6) == (0, 2, 5)  # 2.5 goes to the even side


def test_a_constant_stride_starts_at_the_cleanest_level() -> None:
    assert respace("ddim20", 1000) == tuple(range(0, 1000, 50))
    assert respace("ddim1000", 1000) == respace("", 1000) == tuple(range(1000))


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("count", [1, 4, 20, 50, 1000])
def test_the_spacings_are_those_of_diffusers(spacing: Any, count: int) -> None:
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    theirs = DDIMScheduler(timestep_spacing=spacing)
    theirs.set_timesteps(count)
    assert respace(f"{spacing}{count}", 1000) == tuple(reversed(theirs.timesteps.tolist()))


def test_a_leading_stride_leaves_out_what_is_above_it() -> None:
    assert respace("leading30", 1000) == tuple(range(0, 990, 33))
    with pytest.raises(ScheduleError, match="^no whole stride makes 'trailing30' of 1000 noise levels; take 25 or 40 evaluations$"):
        respace("trailing30", 1000)
    with pytest.raises(ScheduleError, match="^'leading11' asks for 11 levels where the noise schedule has 10$"):
        respace("leading11", 10)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("ddim37", "no whole stride makes 'ddim37' of 1000 noise levels; the nearest that exist: 'ddim36' or 'ddim38'"),
        ("ddim2000", "no whole stride makes 'ddim2000' of 1000 noise levels; the nearest that exist: 'ddim1000'"),
        ("1001", "time grid '1001' asks for 1001 levels where the noise schedule has 1000"),
        ("10,600", "time grid '10,600' asks for 600 levels where the noise schedule has 500"),
        ("0", "cannot read time grid '0'; write a count ('20'), 'ddim20' or counts per section ('10,15,20')"),
        ("fast", "cannot read time grid 'fast'; write a count ('20'), 'ddim20' or counts per section ('10,15,20')"),
    ],
)
def test_an_impossible_grid_is_refused_in_words(spec: str, words: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        respace(spec, 1000)
    assert str(caught.value) == words


def test_a_schedule_is_found_by_its_name_in_plain_data() -> None:
    found = named("warm", fraction=0.2)
    assert isinstance(found, NoiseSchedule) and np.array_equal(found.betas, warm(fraction=0.2).betas)
    with pytest.raises(UnknownName, match="no schedule named 'liner'; did you mean 'linear'"):
        named("liner")


@pytest.mark.parametrize("betas", [[], [0.1, 1.0], [0.0], [[0.1]]])
def test_betas_that_cannot_be_are_refused(betas: list[float]) -> None:
    with pytest.raises(ScheduleError, match="each above 0 and below 1"):
        NoiseSchedule(np.array(betas))


def test_the_betas_of_a_schedule_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        linear().betas[0] = 0.5
