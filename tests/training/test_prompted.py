"""A network and its text encoder learn together."""

from typing import Any

import torch
from torch import Tensor

from ditkit.diffusion.schedule import linear
from ditkit.models.pixart import PixArt, PixArtParams
from ditkit.models.prompts import Prompts
from ditkit.text.encoder import ENCODERS
from ditkit.text.small import fresh_encoder
from ditkit.training.denoiser import DenoiserTask
from ditkit.training.objective import DenoisingObjective
from ditkit.training.optimizer import SLOW, build_optimizers
from ditkit.training.prompted import Prompted, parts
from tests.models.tiny import drawn

PARAMS = PixArtParams(width=24, depth=2, heads=2, patch=2, input_size=8, caption_width=ENCODERS["t5-emoji"].width)
TOKENS = torch.tensor([[5, 6, 7, 1, 0, 0], [8, 1, 0, 0, 0, 0], [5, 1, 0, 0, 0, 0]])


class Given:
    """Always the same latents and tokens."""

    def draw(self, generator: torch.Generator, batch: int, rows: slice) -> tuple[Tensor, Tensor]:
        return torch.randn(batch, 4, 8, 12, generator=torch.Generator().manual_seed(0))[rows], TOKENS[:batch][rows]


def model() -> Any:
    torch.manual_seed(0)
    return Prompted(drawn(PixArt(PARAMS)), fresh_encoder("t5-emoji", 20)).train()


def task(module: Any, dropout: float) -> DenoiserTask:
    return DenoiserTask(module, Given(), DenoisingObjective(linear()), batch=3, seed=0, label_dropout=dropout)


def test_the_loss_moves_the_encoder_too() -> None:
    module = model()
    loss, _ = task(module, 0.0).loss(0, slice(0, 3))
    loss.backward()
    assert all(parameter.grad is not None for parameter in module.parameters())
    table = module.text.shared.weight.grad
    assert table.abs().sum(1).nonzero().flatten().tolist() == [1, 5, 6, 7, 8]  # the words that were said


def test_a_caption_that_is_dropped_is_the_empty_prompt() -> None:
    module = model()
    assert module.null(TOKENS).tolist() == [[1, 0, 0, 0, 0, 0]] * 3
    loss, _ = task(module, 1.0).loss(0, slice(0, 3))
    loss.backward()
    assert module.text.shared.weight.grad.abs().sum(1).nonzero().flatten().tolist() == [1]


@torch.no_grad()
def test_it_is_conditioned_as_the_network_is_on_the_encoders_features() -> None:
    module = model()
    x, t, mask = torch.randn(3, 4, 8, 8), torch.tensor([1.0, 500.0, 900.0]), (TOKENS != 0).long()
    features = module.text(input_ids=TOKENS, attention_mask=mask).last_hidden_state
    backbone = module.backbone
    expected = backbone(x, backbone.condition(t, backbone.prepare(Prompts(features, mask))))
    assert torch.equal(module(x, module.condition(t, TOKENS)), expected)


def test_the_weights_come_apart_under_their_own_names() -> None:
    module = model()
    network, encoder = parts(module.state_dict())
    assert network.keys() == module.backbone.state_dict().keys()
    assert encoder.keys() == module.text.state_dict().keys()


def test_the_encoder_learns_slower_than_the_network_and_every_parameter_once() -> None:
    module = model()
    adamw, muon = build_optimizers(module, "muon", 0.1, (0.9, 0.99), 0.0)
    own, text = adamw.param_groups
    assert (own["share"], text["share"]) == (1.0, SLOW)
    assert {id(parameter) for parameter in text["params"]} == {id(parameter) for parameter in module.slow.parameters()}
    assert id(module.text.shared.weight) in {id(parameter) for parameter in text["params"]}
    every = [id(parameter) for optimizer in (adamw, muon) for group in optimizer.param_groups for parameter in group["params"]]
    assert sorted(every) == sorted(id(parameter) for parameter in module.parameters())


def test_a_fresh_network_hears_words_as_loudly_as_they_are_said() -> None:
    torch.manual_seed(0)
    network = PixArt(PARAMS)
    features = torch.randn(1, 200, PARAMS.caption_width)
    heard = network.y_embedder["y_proj"].fc1(features)  # pyright: ignore[reportCallIssue]
    assert 0.8 < float(heard.detach().std()) < 1.2
