"""The matrix is data: all that the report promises is in it, in an order in which what matters most is measured first."""

from itertools import product

from ditkit.models import registry
from ditkit.tasks.bench.gpu.matrix import (
    BOTH,
    BRANCHES,
    COMPILED,
    CPU,
    EAGER,
    FEWER,
    FORECAST,
    GPU,
    GRAPHS,
    MODES,
    NONE,
    OURS,
    Case,
    Row,
    cases,
    rows,
)


def test_a_gpu_measures_every_model_batch_precision_mode_and_way() -> None:
    found = {(case.model, case.batch, case.precision) for case in cases(GPU)}
    sizes = [("dit-xl-2-256", 1), ("dit-xl-2-256", 8), ("dit-xl-2-256", 64), ("pixart-xl-2-512", 1), ("dit3d-s-4-32", 16)]
    assert found == {(*size, precision) for size, precision in product(sizes, ("float16", "bfloat16"))}
    case = cases(GPU)[0]
    ours = {(row.mode, row.way, row.budget) for row in rows(case, GPU.modes) if row.engine == OURS}
    saving = set(product((EAGER, GRAPHS, COMPILED, BOTH), (FORECAST, BRANCHES, FEWER), (0.7, 0.5)))
    assert ours == saving | {(mode, NONE, 1.0) for mode in MODES}
    assert {(row.engine, row.mode) for row in rows(case, GPU.modes) if row.engine != OURS} == {
        ("diffusers", EAGER),
        ("diffusers", COMPILED),
        ("cache-dit", EAGER),
    }


def test_what_others_are_compared_with_comes_before_them() -> None:
    for matrix in (GPU, CPU):
        for case in cases(matrix):
            wanted = rows(case, matrix.modes)
            assert wanted[0] == Row(case) and len({row.key for row in wanted}) == len(wanted)
            assert all(wanted.index(row.whole) <= place for place, row in enumerate(wanted))


def test_the_first_precision_comes_before_any_other_and_every_model_is_known() -> None:
    assert [case.precision for case in cases(GPU)] == ["bfloat16"] * 5 + ["float16"] * 5
    assert {case.model for matrix in (GPU, CPU) for case in cases(matrix)} <= set(registry.SPECS)


def test_one_model_alone_can_be_measured_at_its_own_batches_or_at_two() -> None:
    assert [case.batch for case in cases(GPU, "dit3d-s-4-32")] == [16, 16]
    assert cases(CPU, "dit-s-2-256") == [Case("dit-s-2-256", 1, "float32"), Case("dit-s-2-256", 8, "float32")]
