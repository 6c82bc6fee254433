"""Grounded runs through the engine: nothing without boxes, no sample changes another, plans cost what they cost without grounding."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ditkit.cache.policies import every
from ditkit.engine import sampler
from ditkit.engine.model import Model
from ditkit.engine.request import SampleBatch
from ditkit.grounding.layout import Layout
from ditkit.grounding.rules import DEFAULT, FAST, PUBLISHED, Rules
from ditkit.grounding.sample import GroundedRequest, Watch, sample
from tests.closeness import assert_close, evaluated
from tests.grounding.tiny import SCENES, model, request, table
from tests.models.tiny import PIXART


def latents(of: Model, asked: GroundedRequest, rules: Rules = DEFAULT) -> dict[int, Tensor]:
    made: list[SampleBatch] = list(sample(of, replace(asked, rules=rules)))
    return {index: one for batch in made for index, one in zip(batch.indices, batch.latents, strict=True)}


def evaluations(of: Model) -> list[int]:
    """Counts rows of every evaluation of the network: calls of its final layer, and of its first block that go no further."""
    rows: list[int] = []
    of.backbone.blocks[0].register_forward_hook(lambda _, given, __: rows.append(len(given[0])))  # pyright: ignore[reportAttributeAccessIssue]
    return rows


@pytest.mark.parametrize("solver", ["dpm-solver++", "ddpm"])
def test_without_boxes_it_is_plain_sampling_to_the_bit_without_one_more_evaluation(solver: str) -> None:
    of, asked = model(), request((1, 1), (3, 4), solver)
    rows = evaluations(of)
    [plain] = sampler.sample(of, asked)
    count = len(rows)
    [grounded] = sample(of, asked)
    assert torch.equal(plain.latents, grounded.latents)
    assert torch.equal(plain.pictures, grounded.pictures)
    assert rows[count:] == rows[:count] == [4] * 4


def test_once_no_step_is_grounded_boxes_change_nothing() -> None:
    of, asked = model(), request((0,), (3,))
    [plain] = sampler.sample(of, asked)
    assert torch.equal(plain.latents[0], latents(of, asked, Rules(share=0))[0])
    assert torch.equal(plain.latents[0], latents(of, asked, Rules(pulls=0, transplant=0))[0])
    assert not torch.equal(plain.latents[0], latents(of, asked)[0])


@pytest.mark.parametrize("name", ["dpm-solver++", "ddim", "dpm-solver-2", "ddpm"])
def test_a_sample_depends_neither_on_its_batch_nor_on_other_scenes(name: str) -> None:
    of = model()
    together = latents(of, request((0, 0, 1, 2, 2), (5, 6, 5, 5, 6), name))
    roundings = evaluated(of.backbone, 4 * (1 + 2 * DEFAULT.pulls), 4.5)  # a pull goes there and back
    assert together[3].shape == (4, 24, 40)
    for index, (label, seed) in enumerate([(0, 5), (0, 6), (1, 5), (2, 5), (2, 6)]):
        assert_close(together[index], latents(of, request((label,), (seed,), name))[0], roundings)


def test_a_box_more_leaves_the_noise_of_the_others_alone() -> None:
    """As long as nothing but noise has been transplanted: after the first step the crops of shared boxes are the same."""
    of, [whole, *_] = model(), SCENES
    fewer = replace(whole, layout=Layout("a cat and dogs", whole.layout.phrases[:1]), phrases=(6,), tokens=((1,),))
    rules = Rules(pulls=0, share=1)
    both = (latents(of, request((0,), (5,), steps=1, scenes=(scene,)), rules)[0] for scene in (whole, fewer))
    many, few = (value[:, 10:30, 2:14] for value in both)
    assert_close(many, few, evaluated(of.backbone, 1, 4.5))


def test_a_fast_run_evaluates_what_it_says() -> None:
    """Four steps, two of them grounded: per grounded step one pull of one row, and a pass of two rows for each size of box."""
    of = model()
    rows = evaluations(of)
    latents(of, request((0,), (5,)), FAST)
    assert rows == [1, 2, 4, 2, 1, 2, 4, 2, 2, 2]  # pull, cat, both dogs, main; ...; main, main
    rows.clear()
    latents(of, request((0,), (5,)), DEFAULT)
    assert rows == [1, 1, 1, 2, 4, 2, 1, 1, 1, 2, 4, 2, 2, 2]
    rows.clear()
    latents(of, request((0,), (5,), guidance=1.0), FAST)
    assert rows == [1, 1, 2, 1, 1, 1, 2, 1, 1, 1]


def test_only_the_main_branch_follows_a_plan() -> None:
    of = model()
    asked = request((0,), (5,))
    planned = replace(asked, plan=every(2, of.backbone.sites, asked.solver.times))
    rows = evaluations(of)
    attended: list[int] = []
    of.backbone.blocks[0].attn.register_forward_hook(lambda *_: attended.append(1))  # pyright: ignore[reportAttributeAccessIssue]
    with_plan = latents(of, planned, FAST)[0]
    assert (len(rows), len(attended)) == (10, 8)  # two of the main branch's four evaluations reuse, and none of the others
    assert not torch.equal(with_plan, latents(of, asked, FAST)[0])


def test_recomputing_changes_no_bit() -> None:
    of, asked = model(), request((0,), (5,))
    assert torch.equal(latents(of, asked)[0], latents(of, replace(asked, recompute=True))[0])


def test_pictures_have_the_size_asked_for() -> None:
    [batch] = sample(model(), request((2,), (0,), rules=FAST))
    assert batch.pictures.shape[2:] == (190, 310)


def test_micro_conditions_are_those_of_the_scene_and_of_each_object() -> None:
    params = replace(PIXART, micro_conditions=True)
    of = model(params)
    made = latents(of, request((0, 2), (5, 5), prompts=table(params)), PUBLISHED)
    assert made[0].isfinite().all() and made[1].shape == (4, 24, 40)


def test_who_watches_is_told_of_pulls_and_of_what_the_picture_is_thought_to_be() -> None:
    pulls: list[tuple[int, int]] = []
    beliefs: list[tuple[tuple[int, ...], int, tuple[int, ...]]] = []
    watch = Watch(
        pull=lambda step, losses: pulls.append((step, len(losses))),
        belief=lambda indices, evaluation, x0: beliefs.append((tuple(indices), evaluation, tuple(x0.shape))),
    )
    [batch] = sample(model(), request((0, 0), (5, 6), rules=FAST), watch=watch)
    assert pulls == [(0, 2), (1, 2)]
    assert [belief[1] for belief in beliefs] == [0, 1, 2, 3]
    assert {belief[0] for belief in beliefs} == {(0, 1)} and {belief[2] for belief in beliefs} == {(2, 4, 32, 32)}
    assert batch.indices == (0, 1)
