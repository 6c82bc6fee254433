"""The runs that drawn boxes ask for: grounded, and if wanted the same with boxes that are not enforced."""

from collections.abc import Sequence

from ditkit.ui import drawn
from ditkit.ui.asked import Asked, asked, more_words

PLAIN = "rules.name=plain"
BESIDE, FAST, CACHED = "plain beside it", "one pull a step (--fast)", "near-lossless (--cache)"
HOW = (BESIDE, FAST, CACHED)


def wanted(
    boxes: drawn.Boxes,
    model: str,
    prompt: str | None,
    size: str | None,
    count: str | None,
    steps: str | None,
    guidance: str | None,
    seed: str | None,
    how: Sequence[str],
    more: str | None = None,
) -> list[Asked]:
    """The runs that the form asks for: the plain one first if it is wanted too. Raises `RequestError` for what cannot be drawn."""
    layout = drawn.layout_from(boxes, prompt, size)
    flags = {
        "--prompt": layout.prompt,
        "--box": drawn.as_options(boxes),
        "--size": size,
        "--count": count,
        "--seed": seed,
        "--steps": steps,
        "--guidance": guidance,
        "--cache": CACHED in how,
    }
    words = more_words(more)
    grounded = asked("ground", model, {**flags, "--fast": FAST in how}, words)
    return [*([asked("ground", model, flags, [*words, PLAIN])] if BESIDE in how else []), grounded]


def bare(run: Asked) -> tuple[str, ...]:
    """The words of a run but for how boxes are enforced."""
    return tuple(word for word in run.words if word not in (PLAIN, "--fast"))
