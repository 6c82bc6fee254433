"""`ditkit eval --generate`: samples first, measured then."""

from collections.abc import Sequence
from dataclasses import fields

from ditkit.config.quoting import quoted
from ditkit.config.schema import EvalConfig, Gen3DConfig, SampleConfig


def divided(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """The overrides that are of `ditkit eval` alone, and those of the command that samples, which are all others."""
    known = {field.name for field in fields(EvalConfig)} - {field.name for field in fields(SampleConfig)}
    own = [word for word in overrides if word.partition("=")[0].partition(".")[0] in known]
    return own, [word for word in overrides if word not in own]


def generated(overrides: Sequence[str], measured: Sequence[str]) -> str:
    """Sample what the overrides ask for, unless it is there already; the run's folder.

    What is wrong with the settings of what is to be `measured` is found before.
    """
    from ditkit.cli.console import progress
    from ditkit.config.compose import compose
    from ditkit.models import registry
    from ditkit.tasks import gen3d, sample
    from ditkit.tasks.eval import check_before_sampling

    model = next((word.partition("=")[2] for word in overrides if word.startswith("model=")), SampleConfig.model)
    spec = registry.find(model)
    clouds = bool(spec.points)
    asked = compose(EvalConfig, measured)
    check_before_sampling(asked, spec)
    if clouds and asked.data.categories and not any(word.startswith("classes=") for word in overrides):
        overrides = [*overrides, f"classes=[{','.join(map(quoted, asked.data.categories))}]"]
    with progress() as shown:
        report = gen3d.run(compose(Gen3DConfig, overrides), shown) if clouds else sample.run(compose(SampleConfig, overrides), shown)
    return str(report.data["out"])
