"""Training from a command's configuration to a weight file that samples."""

import json
import sys
from pathlib import Path

import pytest
import torch

import ditkit
from ditkit.codecs.registry import load_codec
from ditkit.config.schema import DataConfig, FlowConfig, LoraConfig, SampleConfig, ScenesConfig, TrainConfig
from ditkit.errors import ConfigError, DataError, OutputError, RequestError
from ditkit.files.tensors import read_metadata, read_tensors
from ditkit.models import registry
from ditkit.models.judge import load_judge
from ditkit.models.sit import SiTParams
from ditkit.models.spec import Defaults, ModelSpec
from ditkit.results.progress import NoProgress
from ditkit.tasks import sample, train
from tests.closeness import assert_close


def _config(model: str, data: Path, out: Path, **changes: object) -> TrainConfig:
    values = {"steps": 3, "batch": 4, "data": DataConfig(path=str(data), augment=2), "out": str(out), **changes}
    return TrainConfig(model=model, **values)  # pyright: ignore[reportArgumentType]


def test_weights_trained_on_a_folder_of_pictures_sample(tiny: str, folder_of_pictures: Path, tmp_path: Path) -> None:
    report = train.run(_config(tiny, folder_of_pictures, tmp_path / "train"), NoProgress())
    assert report.data["step"] == 3
    (weights,) = report.files
    made = sample.run(SampleConfig(model=tiny, weights=str(weights), count=2, classes=["dog"], out=str(tmp_path / "run")), NoProgress())
    assert made.data["sampled"] == 2  # of a class called as its folder was
    with pytest.raises(RequestError, match="has classes 0 to 1, not 2"):  # of the three that the network has room for
        sample.run(SampleConfig(model=tiny, weights=str(weights), count=1, classes=["2"], out=str(tmp_path / "other")), NoProgress())


def test_a_finished_run_started_again_with_more_steps_goes_on(tiny: str, folder_of_pictures: Path, tmp_path: Path) -> None:
    train.run(_config(tiny, folder_of_pictures, tmp_path / "train"), NoProgress())
    report = train.run(_config(tiny, folder_of_pictures, tmp_path / "train", steps=5), NoProgress())
    assert report.data["step"] == 5
    assert len(list((tmp_path / "train").glob("latents-*.npy"))) == 1


def test_training_can_start_from_other_weights(tiny: str, weights: str, folder_of_pictures: Path, tmp_path: Path) -> None:
    report = train.run(_config(tiny, folder_of_pictures, tmp_path / "train", init=weights, steps=1), NoProgress())
    assert report.data["step"] == 1


def test_the_autoencoder_and_the_judge_train_on_sprites(sprite_sheet: Path, tmp_path: Path) -> None:
    (autoencoder,) = train.run(_config("ae-emoji", sprite_sheet, tmp_path / "ae", steps=1), NoProgress()).files
    codec = load_codec("ae-emoji", str(autoencoder))
    assert codec.latent_shape(96, 64) == (4, 24, 16)
    (judge,) = train.run(_config("judge", sprite_sheet, tmp_path / "judge", steps=1), NoProgress()).files
    assert load_judge(str(judge)).params.classes == 2


def test_a_decoder_trained_alone_leaves_the_encoder_and_the_scale_bit_for_bit(sprite_sheet: Path, tmp_path: Path) -> None:
    (first,) = train.run(_config("ae-emoji", sprite_sheet, tmp_path / "ae", steps=1), NoProgress()).files
    alone = {"init": str(first), "transfer": "decoder", "scenes": ScenesConfig(small=0.5), "steps": 4, "batch": 2}
    (second,) = train.run(_config("ae-emoji", sprite_sheet, tmp_path / "decoder", **alone), NoProgress()).files
    before, after = read_tensors(first), read_tensors(second)
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert any(name.startswith("kl.decoder.") for name in changed) and "linear_decode.weight" in changed
    assert all(name.startswith(("kl.decoder.", "kl.post_quant_conv.", "linear_decode.")) for name in changed)
    assert read_metadata(first) == read_metadata(second)
    pictures = torch.rand(2, 3, 16, 16) * 2 - 1
    codecs = [load_codec("ae-emoji", str(file)) for file in (first, second)]
    assert torch.equal(*(codec.encode(pictures) for codec in codecs))
    assert not torch.equal(*(codec.decode(codecs[0].encode(pictures)) for codec in codecs))


def test_what_an_autoencoder_or_a_judge_would_not_hear_is_refused(tiny: str, sprite_sheet: Path, tmp_path: Path) -> None:
    weights = str(tmp_path / "w.safetensors")
    for model, changes, words in (
        (tiny, {"init": weights, "transfer": "decoder"}, f"transfer=decoder trains the decoder of ae-emoji; {tiny} has none"),
        ("judge", {"init": weights, "transfer": "decoder"}, "transfer=decoder trains the decoder of ae-emoji; judge has none"),
        ("ae-emoji", {"init": weights, "transfer": "diffit"}, "are for diffusion transformers; ae-emoji is none"),
        ("ae-emoji", {"init": weights, "lora": LoraConfig(rank=2)}, "are for diffusion transformers; ae-emoji is none"),
        ("ae-emoji", {"init": weights, "weights_key": "ema"}, "are for diffusion transformers; ae-emoji is none"),
        ("ae-emoji", {"scenes": ScenesConfig(white=0.5)}, "scenes.small also ae-emoji; ae-emoji is none"),
        ("judge", {"scenes": ScenesConfig(small=0.5)}, "scenes.small also ae-emoji; judge is none"),
        ("judge", {"flow": FlowConfig(deviation=1.0), "min_snr": 5.0}, "^leave out flow, min_snr: .*, and judge is none"),
        ("ae-emoji", {"levels": "weighted"}, "^leave out levels: a diffusion transformer learns from noise, and ae-emoji is none"),
        ("judge", {"init": weights}, "the judge always starts afresh"),
    ):
        with pytest.raises(ConfigError, match=f"{words}$"):
            train.run(_config(model, sprite_sheet, tmp_path / "train", **changes), NoProgress())


def test_the_log_has_a_line_every_twenty_steps(sprite_sheet: Path, tmp_path: Path) -> None:
    train.run(_config("judge", sprite_sheet, tmp_path / "judge", steps=20, batch=2), NoProgress())
    (line,) = (tmp_path / "judge" / "log.jsonl").read_text().splitlines()
    assert json.loads(line)["step"] == 20 and "loss" in json.loads(line)


def test_the_curve_of_the_log_goes_over_all_sittings(sprite_sheet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[list[int], dict[str, list[float]]]] = []
    monkeypatch.setattr(train, "draw_curves", lambda path, seen, curves, xlabel: drawn.append((seen, curves)))
    first = train.run(_config("judge", sprite_sheet, tmp_path / "judge", steps=20, batch=2), NoProgress())
    assert len(first.files) == 1 and not drawn  # one line is no curve
    second = train.run(_config("judge", sprite_sheet, tmp_path / "judge", steps=40, batch=2), NoProgress())
    assert second.files[1] == tmp_path / "judge" / "curve.png"
    ((seen, curves),) = drawn
    lines = [json.loads(line) for line in (tmp_path / "judge" / "log.jsonl").read_text().splitlines()]
    assert seen == [40, 80] and curves["loss"] == [line["loss"] for line in lines]


def test_data_that_cannot_be_trained_on_is_refused_in_words(tiny: str, folder_of_pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="training needs data: --data FOLDER"):
        train.run(TrainConfig(model=tiny, out=str(tmp_path / "train")), NoProgress())
    with pytest.raises(DataError, match="no data at .*absent"):
        train.run(_config(tiny, tmp_path / "absent", tmp_path / "train"), NoProgress())
    (tmp_path / "empty" / "class").mkdir(parents=True)
    with pytest.raises(DataError, match="holds no images"):
        train.run(_config(tiny, tmp_path / "empty", tmp_path / "train"), NoProgress())
    for name in ("eel", "fox"):
        (folder_of_pictures / name).mkdir()
        (folder_of_pictures / name / "0.png").write_bytes((folder_of_pictures / "cat" / "0.png").read_bytes())
    with pytest.raises(DataError, match=f"has 4 classes, {tiny} has 3"):
        train.run(_config(tiny, folder_of_pictures, tmp_path / "train"), NoProgress())


@pytest.fixture
def tiny_sit(monkeypatch: pytest.MonkeyPatch) -> str:
    params = SiTParams(width=16, depth=2, heads=2, patch=2, input_size=8, classes=3, learn_sigma=False)
    spec = ModelSpec("tiny-sit", "sit", params, "linear-flow", "ae-emoji", 32, 4, Defaults("heun", 4, 1.5), prediction="velocity")
    monkeypatch.setitem(registry.SPECS, spec.name, spec)
    return spec.name


@pytest.mark.parametrize(
    "flow",
    [
        FlowConfig(deviation=1.0),
        FlowConfig(prediction="sample", path="gvp"),
        FlowConfig(prediction="epsilon", path="vp", weighting="velocity"),
    ],
)
def test_a_flow_is_sampled_as_it_was_trained(flow: FlowConfig, tiny_sit: str, folder_of_pictures: Path, tmp_path: Path) -> None:
    (weights,) = train.run(_config(tiny_sit, folder_of_pictures, tmp_path / "train", flow=flow), NoProgress()).files
    model = ditkit.load(tiny_sit, str(weights))
    assert model.spec.prediction == (flow.prediction or "velocity")
    assert model.spec.schedule == f"{flow.path or 'linear'}-flow"
    assert len(ditkit.sample(model, ["dog"], seeds=[0], steps=4)) == 1


def test_what_a_schedule_has_not_is_refused(tiny_sit: str, folder_of_pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"flow\.\* says what a flow learns; dit-emoji has a noise schedule"):
        train.run(_config("dit-emoji", folder_of_pictures, tmp_path / "a", flow=FlowConfig(deviation=1.0)), NoProgress())
    with pytest.raises(ConfigError, match="min_snr, noisy_weight and levels weigh those of a noise schedule; tiny-sit is a flow"):
        train.run(_config(tiny_sit, folder_of_pictures, tmp_path / "b", min_snr=5.0), NoProgress())


def test_a_lora_is_trained_beside_weights_that_stay(tiny: str, weights: str, folder_of_pictures: Path, tmp_path: Path) -> None:
    if tiny == "tiny-uvit":
        pytest.skip("its classes and null class make it no other case")
    lora = LoraConfig(rank=2, alpha=4.0)
    (whole,) = train.run(
        _config(tiny, folder_of_pictures, tmp_path / "train", init=weights, lora=lora, learning_rate=0.01, classes=3), NoProgress()
    ).files
    adapter = tmp_path / "train" / "lora"
    assert (adapter / "adapter_config.json").exists() and (adapter / "pytorch_lora_weights.safetensors").exists() is (tiny == "tiny-dit")
    merged, trained = ditkit.load(tiny, weights, lora=[str(adapter)]), ditkit.load(tiny, str(whole))
    plain = ditkit.load(tiny, weights)
    for name, value in trained.backbone.state_dict().items():  # pyright: ignore[reportAttributeAccessIssue]
        assert_close(merged.backbone.state_dict()[name].half(), value.half(), 4)  # pyright: ignore[reportAttributeAccessIssue]
        changed = not torch.equal(plain.backbone.state_dict()[name].half(), value.half())  # pyright: ignore[reportAttributeAccessIssue]
        assert changed is name.endswith(("attn.qkv.weight", "attn.proj.weight", "mlp.fc1.weight", "mlp.fc2.weight"))
    with pytest.raises(ConfigError, match="a LoRA changes weights that are there: say which with init=WEIGHTS"):
        TrainConfig(model=tiny, lora=lora)


def test_what_would_be_taken_for_data_is_not_written_among_them(tiny: str, folder_of_pictures: Path) -> None:
    for out in (folder_of_pictures, folder_of_pictures / "runs" / "mine"):
        with pytest.raises(OutputError, match=f"^{out} lies in {folder_of_pictures}, where it would be taken for data; choose another "):
            train.run(_config(tiny, folder_of_pictures, out), NoProgress())
    assert sorted(file.name for file in folder_of_pictures.iterdir()) == ["cat", "dog"]


def test_a_package_that_is_missing_is_named_before_anything_is_encoded(
    tiny: str, folder_of_pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match="tensorboard=true needs the tensorboard package"):
        train.run(_config(tiny, folder_of_pictures, tmp_path / "train", tensorboard=True), NoProgress())
    assert not (tmp_path / "train").exists()
