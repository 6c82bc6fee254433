from pathlib import Path
from typing import Any

import pytest
import torch

from ditkit.models.adapters import Adapter, adapted
from ditkit.training.lora import DOWN, UP, LoraLinear, add_lora, save_lora, without_lora
from tests.closeness import assert_close, evaluated
from tests.models.tiny import inputs, tiny

RANK, ALPHA = 3, 6.0


def changed(family: str) -> Any:
    model = tiny(family)
    add_lora(model, RANK, ALPHA)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(UP):
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.mark.parametrize("family", ["dit", "sit", "pixart"])
@torch.no_grad()
def test_it_starts_as_the_network_it_changes(family: str) -> None:
    plain, model = tiny(family), tiny(family)
    add_lora(model, RANK, ALPHA)
    x, t, y = inputs(plain)
    assert torch.equal(model(x, model.condition(t, y)), plain(x, plain.condition(t, y)))


@pytest.mark.parametrize("family", ["dit", "sit", "pixart"])
def test_only_the_changes_of_attention_and_mlp_learn(family: str) -> None:
    model = changed(family)
    learned = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert learned and all(name.endswith((DOWN, UP)) for name in learned)
    per_block = 7 if family == "pixart" else 4
    assert sum(isinstance(layer, LoraLinear) for layer in model.modules()) == per_block * 2


@pytest.mark.parametrize("family", ["dit", "sit", "pixart"])
@torch.no_grad()
def test_what_is_written_merges_into_what_was_trained(family: str, tmp_path: Path) -> None:
    model, plain = changed(family), tiny(family)
    save_lora(model.state_dict(), tmp_path / "lora", plain.params, ALPHA)
    x, t, y = inputs(plain)
    trained = model(x, model.condition(t, y))
    files = ["adapter_model.safetensors"] + (["pytorch_lora_weights.safetensors"] if family != "sit" else [])
    states = [adapted(plain.state_dict(), plain.params, [Adapter(tmp_path / "lora" / file, 1.0)])[0] for file in files]
    for state in [without_lora(model.state_dict(), ALPHA), *states]:
        whole = tiny(family)
        whole.load_state_dict(state)
        assert_close(whole(x, whole.condition(t, y)), trained, evaluated(whole))


@pytest.mark.parametrize("family", ["dit", "pixart"])
def test_peft_and_diffusers_load_it(family: str, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    import diffusers

    from ditkit.models import diffusers_layout, pixart_layout

    model, plain = changed(family), tiny(family)
    layout: Any = diffusers_layout if family == "dit" else pixart_layout
    make: Any = diffusers.DiTTransformer2DModel if family == "dit" else diffusers.PixArtTransformer2DModel  # pyright: ignore
    save_lora(model.state_dict(), tmp_path / "lora", plain.params, ALPHA)
    wanted = layout.to_diffusers(without_lora(model.state_dict(), ALPHA))

    def theirs() -> Any:
        network = make(**{key: value for key, value in layout.to_config(plain.params).items() if not key.startswith("_")})
        network.load_state_dict(layout.to_diffusers(plain.state_dict()), strict=False)
        return network

    by_peft = peft.PeftModel.from_pretrained(theirs(), tmp_path / "lora").merge_and_unload()
    by_diffusers = theirs()
    if hasattr(by_diffusers, "load_lora_adapter"):
        by_diffusers.load_lora_adapter(str(tmp_path / "lora"), weight_name="pytorch_lora_weights.safetensors", prefix="transformer")
        by_diffusers.fuse_lora()
    for network in [by_peft] + ([by_diffusers] if hasattr(by_diffusers, "load_lora_adapter") else []):
        state = {name.replace(".base_layer", ""): value for name, value in network.state_dict().items()}
        for name, value in wanted.items():
            assert_close(state[name], value, 64)
