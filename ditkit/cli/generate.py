"""`ditkit eval --generate`: samples first, measured then."""

from collections.abc import Sequence
from dataclasses import fields

from ditkit.config.quoting import quoted
from ditkit.config.schema import EvalConfig, Gen3DConfig, SampleConfig


def divided(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """The overrides of `ditkit eval`, and those of the command that samples; of options that both have, only the machine is for both."""
    known = {field.name for field in fields(EvalConfig)} - {field.name for field in fields(SampleConfig)}
    options = {word: word.partition("=")[0].partition(".")[0] for word in overrides}
    own = [word for word, option in options.items() if option in known or option == "runtime"]
    return own, [word for word, option in options.items() if option not in known]


def sampling(overrides: Sequence[str], measured: Sequence[str]) -> SampleConfig | Gen3DConfig:
    """What the overrides ask to sample; of clouds, if they say no classes, the categories that are to be `measured`."""
    from ditkit.config.compose import compose
    from ditkit.models import registry

    model = next((word.partition("=")[2] for word in overrides if word.startswith("model=")), SampleConfig.model)
    clouds = bool(registry.find(model).points)
    categories = compose(EvalConfig, measured).data.categories
    if clouds and categories and not any(word.startswith("classes=") for word in overrides):
        overrides = [*overrides, f"classes=[{','.join(map(quoted, categories))}]"]
    return compose(Gen3DConfig, overrides) if clouds else compose(SampleConfig, overrides)


def generated(config: SampleConfig | Gen3DConfig, measured: Sequence[str]) -> str:
    """Sample that, unless it is there already; the run's folder. What is wrong with what is to be `measured` is found before."""
    from ditkit.cli.console import progress
    from ditkit.config.compose import compose
    from ditkit.tasks import gen3d, sample
    from ditkit.tasks.eval import check_before_sampling

    check_before_sampling(compose(EvalConfig, measured), config)
    with progress() as shown:
        report = gen3d.run(config, shown) if isinstance(config, Gen3DConfig) else sample.run(config, shown)
    return str(report.data["out"])
