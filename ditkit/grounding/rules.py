"""Every number and every choice of GrounDiT, as data."""

from dataclasses import dataclass, fields, replace

from ditkit.errors import ConfigError, UnknownName


@dataclass(frozen=True)
class Rules:
    """How strongly and how long the boxes are enforced, and how they are rounded.

    For the first `share` of the solver's steps, x is pulled up to `pulls` times by `weight` * the gradient of `scale` * the loss of its
    attention maps, then what was denoised beside each object's own picture is put into its boxes (`transplant` of it; 0: nothing is).
    The maps are the mean over the first `blocks` of the network's blocks, in the published code over all, which doubles a pull's
    multiply-adds.
    Pulling ends when the scaled loss is at most `stop`; a phrase whose attention overlaps its boxes by `enough` (intersection over
    union) has none.

    The other three mend what the published code does otherwise: `inclusive`, the last row and column above the threshold belong
    to what was detected; `aligned`, boxes are whole patches, at least one, the same for maps and crops; `between_words`, a phrase
    is looked for as text that begins and ends between words, and not as a run of tokens.
    """

    share: float = 0.5
    pulls: int = 3
    weight: float = 5.0
    scale: float = 10.0
    stop: float = 1e-5
    enough: float = 0.85
    transplant: float = 1.0
    blocks: float = 0.5
    inclusive: bool = True
    aligned: bool = True
    between_words: bool = True

    def __post_init__(self) -> None:
        for name in ("share", "transplant", "enough"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"rules.{name} must be between 0 and 1, not {getattr(self, name):g}")
        if not 0 < self.blocks <= 1:
            raise ConfigError(f"rules.blocks must be more than 0 and at most 1, not {self.blocks:g}")
        for name in ("pulls", "weight", "scale", "stop"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"rules.{name} must be a number of at least 0, not {getattr(self, name)}")

    def steps(self, steps: int) -> int:
        """How many of a run's steps are grounded."""
        return int(steps * self.share)

    def used_blocks(self, depth: int) -> int:
        """From how many of the network's blocks, counted from the first, maps are taken."""
        return max(1, round(self.blocks * depth))


DEFAULT = Rules()
PUBLISHED = Rules(blocks=1.0, inclusive=False, aligned=False, between_words=False)
FAST = Rules(pulls=1)
PLAIN = Rules(share=0.0)
PULL, TRANSPLANT = Rules(transplant=0.0), Rules(pulls=0)
RULES: dict[str, Rules] = {
    "default": DEFAULT,
    "published": PUBLISHED,
    "fast": FAST,
    "plain": PLAIN,  # the boxes are not enforced at all: what the others are to be compared with
    "pull": PULL,
    "transplant": TRANSPLANT,
}


def named(name: str, **changed: float | bool | None) -> Rules:
    """The rules of that name, with the values that are not None in place of its own; raises `UnknownName`."""
    if name not in RULES:
        raise UnknownName("set of rules", name, RULES)
    assert changed.keys() <= {field.name for field in fields(Rules)}
    return replace(RULES[name], **{key: value for key, value in changed.items() if value is not None})  # pyright: ignore[reportArgumentType]
