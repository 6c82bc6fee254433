import pytest
import torch
from torch import Tensor

from ditkit.nn.voxels import devoxelise, voxel_coordinates, voxelise
from tests.closeness import assert_close, summed
from tests.golden_files import golden

SIDE = 16


def test_the_published_voxelisation_is_reproduced_with_its_gradient() -> None:
    reference = golden("dit3d_voxelize")
    features = reference["in.features"].requires_grad_()
    at = voxel_coordinates(reference["in.coords"], SIDE)
    points = reference["in.coords"].shape[-1]
    assert_close(at, reference["out.norm_coords"], summed(points))  # about their mean
    assert torch.equal(at.round().int(), reference["out.voxel_index"])
    grid = voxelise(features, at, SIDE)
    assert_close(grid, reference["out.grid"])
    grid.backward(reference["in.grad_grid"])
    assert_close(features.grad, reference["out.grad_features"])


def test_so_is_that_of_coordinates_scaled_otherwise() -> None:
    reference = golden("dit3d_voxelize")
    grid = voxelise(reference["in.features"], reference["out.norm_coords_nonorm"], SIDE)
    assert_close(grid, reference["out.grid_nonorm"])


def test_halves_go_to_the_even_voxel_and_the_last_one_takes_what_is_beyond() -> None:
    reference = golden("dit3d_voxelize")
    at = reference["in.edge_coords_already_scaled"].clamp(0, SIDE - 1)
    assert torch.equal(at.round().int(), reference["out.edge_voxel_index"])
    assert_close(voxelise(reference["in.edge_features"], at, SIDE), reference["out.edge_grid"])


def test_the_published_interpolation_is_reproduced_with_its_gradient() -> None:
    reference = golden("dit3d_devoxelize")
    grid = reference["in.grid"].requires_grad_()
    features = devoxelise(grid, reference["in.coords"])
    assert_close(features, reference["out.features"])
    features.backward(reference["in.grad_out"])
    assert_close(grid.grad, reference["out.grad_grid"])


def test_at_the_voxels_themselves_interpolation_returns_their_values() -> None:
    grid = torch.randn(1, 2, 3, 3, 3)
    at = torch.cartesian_prod(*[torch.arange(3.0)] * 3).T[None]
    assert torch.equal(devoxelise(grid, at), grid.flatten(2))


def test_a_linear_field_is_interpolated_exactly() -> None:
    at = torch.rand(2, 3, 40, dtype=torch.float64) * 4
    places = torch.cartesian_prod(*[torch.arange(5.0, dtype=torch.float64)] * 3).T.reshape(1, 3, 5, 5, 5)
    assert_close(devoxelise(places.expand(2, -1, -1, -1, -1), at), at)


def test_gradients_are_those_of_finite_differences() -> None:
    at = voxel_coordinates(torch.randn(2, 3, 7, dtype=torch.float64), 3)
    features = torch.randn(2, 2, 7, dtype=torch.float64, requires_grad=True)
    grid = torch.randn(2, 2, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: voxelise(x, at, 3), features)
    assert torch.autograd.gradcheck(lambda x: devoxelise(x, at), grid)
    assert torch.autograd.gradcheck(lambda x: devoxelise(voxelise(x, at, 3), at), features)


def test_where_a_point_lies_has_no_gradient() -> None:
    assert not voxel_coordinates(torch.randn(1, 3, 5, requires_grad=True), 4).requires_grad


def test_neither_place_nor_size_of_a_cloud_matters() -> None:
    x = torch.randn(1, 3, 100, dtype=torch.float64)
    at = voxel_coordinates(x, 8)
    assert_close(voxel_coordinates(x * 1000 - 7, 8), at)
    assert_close(voxel_coordinates(x * 1e-6, 8), at)
    assert float(at.min()) >= 0 and float(at.max()) <= 7


@pytest.mark.parametrize("x", [torch.zeros(2, 3, 5), torch.full((2, 3, 5), 1.5), torch.randn(2, 3, 1), torch.full((2, 3, 5), 1e-38)])
def test_points_that_coincide_lie_in_the_middle_with_finite_gradients(x: Tensor) -> None:
    x = x.clone().requires_grad_()
    at = voxel_coordinates(x, 8)
    assert torch.equal(at, torch.full_like(at, 4.0))
    out = devoxelise(voxelise(x, at, 8), at)
    assert_close(out, x)
    out.square().sum().backward()
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())


def test_a_cloud_that_is_not_finite_spoils_no_other() -> None:
    good = torch.randn(1, 3, 20)
    for broken in (torch.nan, torch.inf):
        both = torch.cat([good, good * broken])
        at = voxel_coordinates(both, 4)
        out = devoxelise(voxelise(both, at, 4), at)
        alone = voxel_coordinates(good, 4)
        assert torch.equal(out[:1], devoxelise(voxelise(good, alone, 4), alone))


def test_the_same_cloud_gives_the_same_bits_every_time() -> None:
    def run() -> tuple[Tensor, Tensor]:
        x = torch.randn(4, 3, 5000, generator=torch.Generator().manual_seed(0)).requires_grad_()
        at = voxel_coordinates(x, 8)
        out = devoxelise(voxelise(x, at, 8), at)
        (gradient,) = torch.autograd.grad(out.square().sum(), x)
        return out, gradient

    first, again = run(), run()
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_clouds_are_averaged_in_single_precision(dtype: torch.dtype) -> None:
    x = torch.randn(1, 3, 3000).to(dtype)
    at = voxel_coordinates(x, 2)
    assert at.dtype == torch.float32
    grid = voxelise(x, at, 2)
    assert grid.dtype == dtype
    assert torch.equal(grid, voxelise(x.float(), at, 2).to(dtype))
    assert devoxelise(grid, at).dtype == dtype
