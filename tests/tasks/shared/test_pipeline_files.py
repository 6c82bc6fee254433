"""Whatever stands in the place of any file of a pipeline's folder is called what it is, before anything is sampled."""

import os
from pathlib import Path

import pytest

from ditkit.config.schema import SampleConfig
from ditkit.errors import CheckpointError
from ditkit.results.progress import NoProgress
from ditkit.tasks import sample
from tests.saved_pipelines import pixart_pipeline

FILES = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json",
    "transformer/config.json",
    "transformer/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
)
INSTEAD = {
    "a pipe": (None, "is not a file but a pipe; write what it gives into a file first"),
    "nothing": (b"", "must be downloaded again: it is empty"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\nsize 5\n", "is a Git LFS pointer, 50 bytes in place of 5; fetch the file"),
    "a page": (b"<!DOCTYPE html>\n<html>log in</html>", "is a web page in place of the file"),
}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipeline")
    pixart_pipeline(folder / "vocabulary").save_pretrained(folder / "saved")
    assert sorted(FILES) == sorted(str(file.relative_to(folder / "saved")) for file in (folder / "saved").rglob("*") if file.is_file())
    return folder / "saved"


@pytest.mark.parametrize("what", ["a pipe", "nothing", *(pytest.param(what, marks=pytest.mark.slow) for what in ("a pointer", "a page"))])
@pytest.mark.parametrize("name", FILES)
def test_what_stands_in_place_of_a_file_is_called_what_it_is(tmp_path: Path, pipeline: Path, name: str, what: str) -> None:
    content, line = INSTEAD[what]
    for file in FILES:
        (tmp_path / "pipe" / file).parent.mkdir(parents=True, exist_ok=True)
        if file != name:
            (tmp_path / "pipe" / file).symlink_to(pipeline / file)
    target = tmp_path / "pipe" / name
    os.mkfifo(target) if content is None else target.write_bytes(content)
    config = SampleConfig(model="pixart-xl-2-512", weights=str(tmp_path / "pipe"), prompts=["a cat"], steps=2, out=str(tmp_path / "out"))
    with pytest.raises(CheckpointError) as caught:
        sample.run(config, NoProgress())
    assert str(caught.value).startswith(f"{target} {line}")
    assert not (tmp_path / "out").exists()
