"""What a run that is repeated from its manifest is asked for."""

from dataclasses import replace
from pathlib import Path

from ditkit.cache.plan import CachePlan, from_data
from ditkit.config.record import config_from_data
from ditkit.config.schema import GroundConfig, RunConfig, SampleConfig
from ditkit.errors import OutputError
from ditkit.results.folder import read_manifest
from ditkit.tasks.shared.kind import Kind, Record


def manifest_of(config: RunConfig) -> Path | None:
    """The manifest of the run to repeat, if one is to be; a run folder stands for its own."""
    if config.source is None:
        return None
    source = Path(config.source)
    return source / "manifest.json" if source.is_dir() else source


def resolved(kind: Kind, config: RunConfig) -> tuple[RunConfig, CachePlan | None]:
    """The configuration, or the one a manifest holds, with the plan that manifest used."""
    path = manifest_of(config)
    if path is None:
        return config, None
    manifest = read_manifest(path)
    if "config" not in manifest:
        raise OutputError(f"{path} belongs to a run that never finished; repeat its command instead")
    if (command := manifest.get("command", "sample")) != kind.command:  # not every earlier manifest says so
        raise OutputError(f"{path} is of a run of ditkit {command}; repeat it with ditkit {command} --from")
    earlier = config_from_data(kind.schema, manifest["config"], str(path))
    request = manifest["request"]
    again = path.absolute().parent.resolve() if path.parent.name in ("", "..") else path.parent
    pinned = replace(
        earlier,
        revision=earlier.revision or _commit(request, "weights"),
        codec=replace(earlier.codec, revision=earlier.codec.revision or _commit(request, "codec")),
        out=config.out or f"{again}-again",
    )
    if isinstance(pinned, SampleConfig | GroundConfig):
        pinned = replace(pinned, text=replace(pinned.text, revision=pinned.text.revision or _commit(request, "text_encoder")))
    plan = request.get("plan")
    return pinned, None if plan is None else from_data(plan, str(path))


def _commit(request: Record, name: str) -> str | None:
    """The hub's revision that a run's weights came from, so that a repetition takes no newer one."""
    return (request.get(name) or {}).get("commit")
