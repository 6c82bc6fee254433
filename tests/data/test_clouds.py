"""Clouds to train on: read from every layout, normalised as published, drawn evenly and reproducibly."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ditkit.codecs.points import Points
from ditkit.data.clouds import CloudDraws, Clouds, labelled_as, load_clouds, normalisation, part
from ditkit.errors import DataError
from ditkit.shapes.clouds import write_ply
from tests.closeness import assert_close, near, spread, summed
from tests.golden_files import golden

RNG = np.random.default_rng(0)


def some(clouds: int, points: int = 20) -> np.ndarray:
    return RNG.normal(size=(clouds, points, 3)).astype(np.float32)


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """Two categories as .npz, and a file that holds something else."""
    folder = tmp_path / "shapes"
    folder.mkdir()
    for name, count in (("table", 2), ("chair", 6)):
        np.savez(folder / f"{name}.npz", train_points=some(count).astype(np.float16), test_points=some(1), train_name=["x"] * count)
    np.savez(folder / "boxes.npz", corners=some(1, 8))
    return folder


def draws(clouds: Clouds, points: int = 20, **changes: float) -> CloudDraws:
    options = {"mirror": False, "stretch": 0.0, "balance": 1.0, **changes}
    return CloudDraws(clouds, Points(), points, **options)  # pyright: ignore[reportArgumentType]


def test_published_statistics_and_items_are_reproduced(tmp_path: Path) -> None:
    reference = golden("dit3d_dataset")
    for name, value in reference.items():
        if name.startswith("in."):
            _, split, category, shape = name.split(".")
            file = tmp_path / category / split / f"{shape}.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, value.numpy())
    clouds = load_clouds(tmp_path, "train", ["chair", "airplane"])
    assert clouds.labels.tolist() == [0, 0, 0, 1, 1]  # the place in the list of categories
    codec = normalisation(clouds)
    assert_close(codec.mean, reference["out.mean"].flatten(), summed(5 * 15000), size=1)  # of the points' coordinates
    assert_close(codec.scale, reference["out.std"].squeeze(), summed(5 * 15000))
    held_out = load_clouds(tmp_path, "test", ["chair", "airplane"])
    items = {
        "out.train_item0_train_points": part(clouds.points[4], "train"),  # what the published shuffle puts first
        "out.train_item0_test_points": part(clouds.points[4], "test"),
        "out.val_item0_test_points": part(held_out.points[0], "test"),
    }
    for name, points in items.items():
        normal, _ = codec.encode(torch.from_numpy(points[:2048]).T)
        assert_close(normal.T, reference[name], summed(5 * 15000))


def test_a_folder_of_files_has_a_category_for_each_that_holds_clouds(shapes: Path) -> None:
    clouds = load_clouds(shapes)
    assert clouds.class_names == ("chair", "table")
    assert clouds.labels.tolist() == [0] * 6 + [1] * 2
    assert all(cloud.dtype == np.float32 for cloud in clouds.points)
    assert len(load_clouds(shapes, "test")) == 2


def test_categories_are_chosen_and_ordered_by_name(shapes: Path) -> None:
    assert load_clouds(shapes, categories=["table"]).labels.tolist() == [0, 0]
    assert load_clouds(shapes, categories=["table", "chair"]).class_names == ("table", "chair")
    with pytest.raises(
        DataError, match=r"no category named 'sofa' in .*shapes; it has chair, table: choose with data.categories=\[chair,table\]$"
    ):
        load_clouds(shapes, categories=["sofa"])


def test_one_file_is_a_category_or_names_its_own(shapes: Path, tmp_path: Path) -> None:
    assert load_clouds(shapes / "chair.npz").class_names == ("chair",)
    np.savez(tmp_path / "all.npz", points=some(3), labels=[1, 0, 1], class_names=["a", "b"])
    clouds = load_clouds(tmp_path / "all.npz")
    assert (clouds.class_names, clouds.labels.tolist()) == (("a", "b"), [0, 1, 1])


def test_a_folder_of_clouds_and_meshes_per_category_is_read(tmp_path: Path) -> None:
    (tmp_path / "chair").mkdir()
    write_ply(tmp_path / "chair" / "0.ply", some(1, 30)[0])
    (tmp_path / "box" / "train").mkdir(parents=True)
    (tmp_path / "box" / "train" / "0.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    clouds = load_clouds(tmp_path)
    assert clouds.class_names == ("box", "chair")
    assert [len(cloud) for cloud in clouds.points] == [10_000, 30]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"corners": some(1, 8)},
            r"holds no clouds: it has corners .*, and train_points, points or one array .* is wanted$",
        ),
        ({"a": some(1), "b": some(1)}, r"holds no clouds: it has a \(1, 20, 3\), b \(1, 20, 3\), and train_points, points or one array"),
        ({"points": some(2, 15)}, r"cloud 0 of .* has 15 points; a cloud needs at least 16$"),
        ({"points": np.full((1, 20, 3), np.nan)}, r"cloud 0 of .* has coordinates that are NaN or infinite$"),
        ({"points": some(2)[0]}, r"holds no clouds: their shape is \(20, 3\), not \(clouds, points, 3\)$"),
        ({"points": some(2), "labels": [0, 3], "class_names": ["a"]}, r"has 2 clouds, 2 labels and 1 class_names, which do not fit$"),
    ],
)
def test_files_that_hold_no_clouds_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)  # pyright: ignore[reportArgumentType]
    with pytest.raises(DataError, match=message):
        load_clouds(tmp_path / "bad.npz")


def test_paths_without_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data at .*absent"):
        load_clouds(tmp_path / "absent")
    with pytest.raises(DataError, match=r"holds no clouds for training: expected .*<category>.npz"):
        load_clouds(tmp_path)
    (tmp_path / "noise.npz").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"cannot read .*noise.npz"):
        load_clouds(tmp_path / "noise.npz")


def test_labels_are_those_that_the_model_knows(shapes: Path) -> None:
    known = ("airplane", "table", "chair")
    clouds = labelled_as(load_clouds(shapes), known)
    assert (clouds.labels.tolist(), clouds.class_names) == ([2] * 6 + [1] * 2, known)
    with pytest.raises(DataError, match=r"the model has no category 'table', only chair; choose with data.categories=\[chair\]$"):
        labelled_as(load_clouds(shapes), ("chair",))


def test_normalised_clouds_have_no_mean_and_unit_variance(shapes: Path) -> None:
    clouds = load_clouds(shapes)
    codec = normalisation(clouds)
    points = torch.from_numpy(np.concatenate(clouds.points)).T
    normal, _ = codec.encode(points)
    assert_close(normal.mean(1), torch.zeros(3), summed(points.shape[1]), size=float(normal.abs().max()))
    assert_close(codec.decode(normal), points)


def test_a_draw_is_the_same_for_any_share_of_the_batch(shapes: Path) -> None:
    source = draws(load_clouds(shapes), stretch=0.2, mirror=True)
    whole, labels = source.draw(torch.Generator().manual_seed(5), 6, slice(0, 6))
    some_rows, some_labels = source.draw(torch.Generator().manual_seed(5), 6, slice(2, 4))
    assert torch.equal(whole[2:4], some_rows) and torch.equal(labels[2:4], some_labels)
    assert whole.shape == (6, 3, 20)


def test_a_draw_has_every_point_once_where_there_are_enough(shapes: Path) -> None:
    clouds = load_clouds(shapes, categories=["table"])
    x, _ = draws(clouds).draw(torch.Generator().manual_seed(0), 1, slice(0, 1))
    (original,) = (cloud for cloud in clouds.points if np.isin(cloud, x.numpy()).all())
    assert sorted(map(tuple, x[0].T.tolist())) == sorted(map(tuple, original.tolist()))
    more, _ = draws(clouds, points=50).draw(torch.Generator().manual_seed(0), 1, slice(0, 1))
    assert more.shape == (1, 3, 50) and len(more[0].T.unique(dim=0)) == 20


@pytest.mark.parametrize(("balance", "share"), [(0.0, 0.25), (1.0, 0.5)])
def test_balance_decides_how_often_a_small_category_is_drawn(shapes: Path, balance: float, share: float) -> None:
    _, labels = draws(load_clouds(shapes), balance=balance).draw(torch.Generator().manual_seed(0), 4000, slice(0, 4000))
    assert float((labels == 1).float().mean()) == near(share, within=0.5 * spread(4000))


def test_clouds_are_mirrored_left_to_right_and_stretched() -> None:
    clouds = Clouds((np.ones((20, 3), dtype=np.float32),), np.zeros(1, dtype=np.int64), ("one",))
    x, _ = draws(clouds, mirror=True, stretch=0.1).draw(torch.Generator().manual_seed(0), 64, slice(0, 64))
    sides = x[:, 0, 0]
    assert 20 < int((sides < 0).sum()) < 44 and bool((x[:, 1:] > 0).all())
    assert float(x.abs().min()) >= 0.9 and float(x.abs().max()) <= 1.1 and float(x.abs().std()) > 0.03


def test_clouds_are_read_from_one_array_under_any_name(tmp_path: Path) -> None:
    clouds = some(3)
    np.savez(tmp_path / "a.npz", clouds, ids=np.arange(3))  # arr_0, as numpy names what has no name
    np.savez(tmp_path / "b.npz", shapes=clouds)
    np.save(tmp_path / "c.npy", np.asfortranarray(clouds))
    torch.save(torch.from_numpy(clouds), tmp_path / "d.pth")
    for name in ("a.npz", "b.npz", "c.npy", "d.pth"):
        found = load_clouds(tmp_path / name)
        assert found.class_names == (name[0],)
        assert np.array_equal(np.stack(found.points), clouds)
    assert load_clouds(tmp_path).class_names == ("a", "b", "c")


def a_cloud(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_ply(path, some(1)[0])
    return path


def test_the_folders_of_shapenet_are_known_by_name(tmp_path: Path) -> None:
    for count, name in ((2, "03001627/train"), (1, "03001627/val"), (1, "03001627/test"), (3, "02691156/train"), (1, "04256520/a/models")):
        for index in range(count):
            a_cloud(tmp_path / name / f"{index}.ply")
    training = load_clouds(tmp_path)
    assert training.class_names == ("airplane", "chair", "sofa")
    assert np.bincount(training.labels).tolist() == [3, 2, 1]
    for asked in ("chair", "03001627"):
        assert len(load_clouds(tmp_path, "train", [asked])) == 2 and len(load_clouds(tmp_path, "test", [asked])) == 1
    said: list[str] = []
    assert load_clouds(tmp_path, "test", note=said.append).class_names == ("chair", "sofa")
    assert said == [f"{tmp_path}: without clouds for testing, and so left out: 02691156"]
    np.savez(tmp_path / "03636649.npz", points=some(2))
    assert "lamp" in load_clouds(tmp_path).class_names
    a_cloud(tmp_path / "chair" / "0.ply")
    with pytest.raises(DataError, match=r"has the category chair twice, once in chair; rename one of them$"):
        load_clouds(tmp_path)


def test_splits_may_stand_above_the_categories(tmp_path: Path) -> None:
    for name in ("train/chair/0.ply", "train/table/0.ply", "test/chair/0.ply", "train/chair/1.ply"):
        a_cloud(tmp_path / name)
    assert (load_clouds(tmp_path).class_names, len(load_clouds(tmp_path))) == (("chair", "table"), 3)
    assert (load_clouds(tmp_path, "test").class_names, len(load_clouds(tmp_path, "test"))) == (("chair",), 1)


def test_what_is_no_cloud_is_left_out_and_named(tmp_path: Path) -> None:
    a_cloud(tmp_path / "chair" / "0.ply")
    a_cloud(tmp_path / "chair" / ".hidden" / "1.ply")
    a_cloud(tmp_path / "__MACOSX" / "chair" / "2.ply")
    (tmp_path / "empty").mkdir()
    for name in ("chair/read me.txt", "chair/texture.png", "list.json"):
        (tmp_path / name).write_text("words")
    said: list[str] = []
    assert len(load_clouds(tmp_path, note=said.append)) == 1
    assert said == [
        f"{tmp_path}: what is no cloud is left out: list.json, chair/read me.txt, chair/texture.png",
        f"{tmp_path}: without clouds for training, and so left out: empty",
    ]
    np.savetxt(tmp_path / "empty" / "0.txt", some(1)[0])  # where no other file is a cloud, a text may be one
    assert load_clouds(tmp_path).class_names == ("chair", "empty")
