"""`ditkit models`: what the registry holds, what one model is, and weights from one layout to another."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ditkit.errors import DitkitError
from ditkit.files.weights import ASSETS, WeightSource
from ditkit.models import checkpoints, registry
from ditkit.models.blank import blank
from ditkit.models.identify import describe as describe_params
from ditkit.models.spec import ModelSpec
from ditkit.results.report import Cell, Report
from ditkit.tasks.shared import classes

INDEX = ASSETS.parent / "index.json"
HELPERS = {"ae-emoji": "ae-emoji.safetensors", "judge": "judge-emoji.safetensors"}  # shipped weights that sample nothing by themselves


def listing() -> Report:
    """Every model, those whose weights are here first."""
    specs = sorted(registry.SPECS.values(), key=lambda spec: not _is_here(spec.weights))
    rows = [
        (spec.name, spec.family, f"{_parameters(spec) / 1e6:.1f} M", spec.makes, _where(spec.weights), spec.weights.licence)
        for spec in specs
    ]
    return Report(title="models", columns=("name", "family", "parameters", "makes", "weights", "licence"), rows=rows)


def describe(name: str) -> Report:
    """One model: its sizes, how it was published, what it costs, and what its weights were made from."""
    if name in HELPERS:
        return Report(title=name, facts=_shown(card := model_card(HELPERS[name])), data={"card": card})
    spec = registry.find(name)
    backbone = blank(spec.params)
    names = classes.class_names(spec)
    defaults = spec.defaults
    published = defaults.guidance - spec.published_guidance_offset
    where = _where(spec.weights)
    if spec.weights.page:
        where = f"published at {spec.weights.page}; download them and give --weights FILE"
    facts: dict[str, Cell] = {
        "family": spec.family,
        "sizes": ", ".join(f"{key} {value}" for key, value in asdict(spec.params).items() if key in ("width", "depth", "heads", "patch")),
        "latent": " x ".join(map(str, spec.sample_shape)),
        "makes": spec.makes,
        "codec": spec.codec,
        "parameters": f"{_parameters(spec) / 1e6:.1f} M",
        "one evaluation": f"{sum(backbone.multiply_adds().values()) / 1e9:.2f} G multiply-adds per sample",
        "cache sites": len(backbone.sites),
        "classes": f"{spec.label_count}" + (f": {', '.join(names[:6])}, ..." if names else ""),
        "noise schedule": spec.schedule,
        "by default": f"{defaults.solver}, {defaults.steps} evaluations, guidance {defaults.guidance:g}"
        + (f", grid {defaults.grid}" if defaults.grid else "")
        + (f", eta {defaults.eta:g}" if defaults.eta else "")
        + (f" ({defaults.reuse_eta:g} with a plan)" if defaults.reuse_eta is not None else "")
        + (f", from time {defaults.start:g}" if defaults.start < 1 else "")
        + (f" (its paper writes {published:g})" if spec.published_guidance_offset else ""),
        "guided channels": f"{spec.guided_channels} of {spec.params.channels}" if spec.guided_channels < spec.params.channels else "all",
        "weights": where,
        "licence": spec.weights.licence,
    }
    card = model_card(spec.weights.asset)
    return Report(title=name, facts=facts | _shown(card), data={"params": asdict(spec.params), "card": card})


def _shown(card: dict[str, Any]) -> dict[str, Cell]:
    return {key.replace("_", " "): value if isinstance(value, str | int | float) else json.dumps(value) for key, value in card.items()}


def convert(source: str, out: str, layout: str, model: str | None = None, weights_key: str | None = None) -> Report:
    """Write weights of any known layout as ditkit safetensors or as a diffusers folder; of that `model` where the file does not tell."""
    target = Path(out)
    if layout == "ditkit" and target.suffix != ".safetensors":
        raise DitkitError(f"{target} must end in .safetensors, as the file that is written")
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise DitkitError(f"{target} exists already; remove it or choose another name")
    params = checkpoints.convert(Path(source), target, layout, model, weights_key)
    return Report(title="converted", facts={"model": describe_params(params), "layout": layout}, files=[target])


def model_card(asset: str | None) -> dict[str, Any]:
    """What assets/index.json says of a shipped weight file: data, licences, command, measured quality."""
    if asset is None or not INDEX.exists():
        return {}
    return json.loads(INDEX.read_text(encoding="utf-8")).get(asset, {})


def _parameters(spec: ModelSpec) -> int:
    return sum(value.numel() for value in blank(spec.params).state_dict().values())


def _is_here(source: WeightSource) -> bool:
    return source.asset is not None and (ASSETS / source.asset).exists()


def _where(source: WeightSource) -> str:
    if _is_here(source):
        return "here"
    if source.hub:
        return f"hub: {source.hub}"
    return "by hand, see 'ditkit models NAME'" if source.page else "yours: weights=PATH"
