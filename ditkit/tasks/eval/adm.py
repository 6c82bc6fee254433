"""`ditkit eval --save-npz`: the samples of one target, or a reference with its moments, for whoever must run ADM's own evaluator."""

from pathlib import Path

import numpy as np

from ditkit.config.schema import EvalConfig
from ditkit.data.adm import write_adm
from ditkit.data.picture_sets import arrays_in
from ditkit.engine.distributed import join_world
from ditkit.errors import ConfigError, DataError, RequestError
from ditkit.files.atomic import check_writable
from ditkit.metrics.features import my_batches, see
from ditkit.metrics.frechet import Moments
from ditkit.metrics.vision import find_network
from ditkit.results.progress import Progress
from ditkit.results.report import Report
from ditkit.tasks.eval.image_scores import read_samples
from ditkit.tasks.shared import build

OTHERS = "these moments are of other features than ADM's, whose evaluator is to be given features=inception, or pictures alone"


def check(config: EvalConfig) -> None:
    """Raise for a file that would take the place of what it is made from, or would hold more than one set."""
    if config.save_npz is None:
        return
    if len(config.targets) > 1:
        raise RequestError(f"--save-npz writes one set of pictures, and there are {len(config.targets)} targets; name one")
    file = Path(config.save_npz)
    if file.suffix.lower() != ".npz":
        raise ConfigError(f"--save-npz takes the name of an .npz file, not '{file}'")
    if file.is_dir():
        raise ConfigError(f"--save-npz takes the name of a file, and {file} is a folder")
    sources = [Path(source) for source in (*config.targets, config.data.path) if source is not None]
    if any(file.resolve() == source.resolve() for source in sources):
        raise ConfigError(f"--save-npz {file} would take the place of what it is made from; choose another name")
    check_writable(file)


def save_samples(config: EvalConfig) -> Path:
    """Write the pictures of the one target, with their labels where a run tells them; the file."""
    samples = read_samples(config.targets[0], config.data.background)
    said = (samples.request or {}).get("labels")
    labels = {} if said is None else {"arr_1": np.array(said)}
    file = Path(str(config.save_npz))
    write_adm(file, samples.pictures, labels)
    return file


def save_reference(config: EvalConfig, progress: Progress) -> Report:
    """Write the pictures of `data` with the moments of their features, which nothing is compared with."""
    path = Path(str(config.data.path))
    if path.suffix.lower() == ".npz" and {"mu", "sigma"} <= set(arrays_in(path)):
        raise DataError(f"{path} holds moments already; copy it")
    notes: list[str] = []
    pictures = read_samples(str(path), config.data.background, notes.append).pictures
    network = find_network(config.features, config.feature_weights, build.device(config.runtime))
    world = join_world(build.device(config.runtime))
    progress.start(len(my_batches(pictures.count, config.batch, world)), "batches of pictures")
    seen = see(pictures, network, config.batch, world, progress.advance)
    if world.rank:
        return Report(title=f"process {world.rank}")
    file, arrays = Path(str(config.save_npz)), _arrays("", Moments.from_features(seen.pooled))
    if seen.spatial is not None:
        arrays |= _arrays("_s", Moments.from_features(seen.spatial))
    write_adm(file, pictures, arrays)
    notes += [] if config.features == "inception" else [OTHERS]
    facts = {"features": f"{network.name}, pictures {network.input}", "feature hash": network.digest, "moments": ", ".join(arrays)}
    named = {"reference": f"{pictures.count} pictures of {pictures.name} ({pictures.described})", "reference hash": pictures.digest()}
    return Report(title=f"reference {path}", facts={**named, **facts}, files=[file], notes=notes, data={**named, **facts})


def _arrays(ending: str, moments: Moments) -> dict[str, np.ndarray]:
    return {f"mu{ending}": moments.mean.numpy(), f"sigma{ending}": moments.covariance.numpy()}
