"""What samples are asked for, classes or prompts alike: one table whose columns a backbone's `condition` reads.

Shapes: P prompts, N rows of their encoder, U columns of a table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from ditkit.engine.transfers import sent
from ditkit.models.backbone import Backbone
from ditkit.models.prompts import Prompts


@dataclass(frozen=True, eq=False)
class PromptTable:
    """Encoded prompts for the labels 0 ... P - 1 of a request: label i is row i of `rows`, and row `null[i]` is what to guide it away from.

    Usually that is one row behind the others, of the negative prompt; `texts` are the P prompts in words, and `origin` says for manifests
    what encoded them.
    """

    texts: tuple[str, ...]
    rows: Prompts
    null: tuple[int, ...]
    origin: Mapping[str, Any] = field(default_factory=dict)


class Conditions(NamedTuple):
    """`columns` (1, U, ...) is what `condition` takes beside times; `own` is a label's, `null` the one it is guided away from."""

    columns: Any
    own: Mapping[int, int]
    null: Mapping[int, int]


def conditions(backbone: Backbone, prompts: PromptTable | None, labels: Sequence[int], device: torch.device, *, guided: bool) -> Conditions:
    """All that a batch with these labels needs: its prompts if it has any, else its classes."""
    if prompts:
        return _of_prompts(backbone, prompts, labels, device, guided=guided)
    return _of_classes(backbone, labels, device, guided=guided)


def conditions_apart(
    backbone: Backbone, prompts: PromptTable | None, labels: Sequence[int], device: torch.device, *, guided: bool
) -> Conditions:
    """The same with a column of its own for every sample, which goes by its place: batches of one size have tables of one shape."""
    places = range(len(labels))
    if prompts is None:
        y_U = sent(torch.tensor([*labels], dtype=torch.long), device)
        own = {place: place for place in places}
        if not guided:
            return Conditions(y_U[None], own, {})
        return Conditions(torch.cat([y_U, backbone.null(y_U[:1])])[None], own, dict.fromkeys(places, len(labels)))
    wanted = [*labels, *(prompts.null[label] for label in labels if guided)]
    nulls = {place: len(labels) + place for place in places} if guided else {}
    return Conditions(_prepared(backbone, prompts, wanted, device), {place: place for place in places}, nulls)


def _of_classes(backbone: Backbone, labels: Sequence[int], device: torch.device, *, guided: bool) -> Conditions:
    """Every class once, and if `guided` the null class."""
    known = sorted(set(labels))
    y_U = sent(torch.tensor(known, dtype=torch.long), device)
    own = {label: column for column, label in enumerate(known)}
    if not guided:  # not every network has a null class
        return Conditions(y_U[None], own, {})
    return Conditions(torch.cat([y_U, backbone.null(y_U[:1])])[None], own, dict.fromkeys(known, len(known)))


def _of_prompts(backbone: Backbone, prompts: PromptTable, labels: Sequence[int], device: torch.device, *, guided: bool) -> Conditions:
    """Every prompt once, and if `guided` what they are guided away from, as the network's keys and values of cross-attention."""
    known = sorted(set(labels))
    wanted = dict.fromkeys([*known, *(prompts.null[label] for label in known if guided)])
    column = {row: place for place, row in enumerate(wanted)}
    nulls = {label: column[prompts.null[label]] for label in known} if guided else {}
    return Conditions(_prepared(backbone, prompts, list(wanted), device), {label: column[label] for label in known}, nulls)


def _prepared(backbone: Any, prompts: PromptTable, rows: list[int], device: torch.device) -> Any:
    """These rows of the prompts as the network reads them."""
    chosen: Any = [None if value is None else sent(value[rows][None], device) for value in prompts.rows]
    return backbone.prepare(Prompts(*chosen))
