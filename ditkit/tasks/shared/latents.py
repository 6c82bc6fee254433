"""A command's training pictures as latents, encoded once and kept beside its checkpoints."""

import hashlib
import json
from pathlib import Path

import torch

from ditkit.codecs.codec import Codec
from ditkit.config.schema import DataConfig
from ditkit.data.images import Pictures, files_digest, variants
from ditkit.data.latents import Latents, encode_pictures
from ditkit.engine.distributed import World, barrier
from ditkit.results.progress import Progress


def encoded(
    data: DataConfig, pictures: Pictures, codec: Codec, codec_name: str, folder: Path, where: torch.device, world: World, progress: Progress
) -> Latents:
    """Encoded by the first process, read from the cache (`data.cache`, or else `folder`) by the others; on a GPU if there is room."""
    chosen = variants(pictures, data.augment, mirror=data.mirror)
    known = [files_digest(pictures.files), codec_name, dict(codec.origin), list(chosen), data.background]
    digest = hashlib.sha256(json.dumps(known).encode()).hexdigest()[:12]
    cache = Path(data.cache or folder) / f"latents-{digest}.npy"
    if world.rank:
        barrier(world)
    progress.start(len(pictures) * len(chosen), "encoding")
    with torch.inference_mode():
        latents = encode_pictures(pictures, lambda images: codec.encode(images.to(where)), chosen, cache, progress.advance)
    if world.rank == 0:
        barrier(world)
    return latents.on(where)
