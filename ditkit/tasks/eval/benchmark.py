"""Pictures for `ditkit eval` that were asked for with the prompts of a benchmark, measured by its rules."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from ditkit.config.schema import EvalConfig
from ditkit.data.box_prompts import BoxPrompt, read_box_prompts
from ditkit.errors import DataError, RequestError
from ditkit.metrics import relations
from ditkit.metrics.detections import Detector
from ditkit.metrics.relations import BenchmarkScore
from ditkit.metrics.zero_shot import ZeroShotDetector
from ditkit.results.progress import Progress
from ditkit.results.report import Cell, Report
from ditkit.tasks.eval.report import Measured, pictured
from ditkit.tasks.shared import build
from ditkit.tasks.shared.boxes import JUDGE, Pictures, bundled_judge


def benchmark(config: EvalConfig, sets: Sequence[Pictures], progress: Progress) -> Measured:
    """The share of prompts that came out right by the benchmark's rules, by skill; of colours, the share of objects."""
    if config.real:
        raise RequestError("--real puts drawings into boxes, and a benchmark's rules look at none; leave out one of the two")
    prompts = read_box_prompts(str(config.prompts), relations.check)
    asked = {prompt.prompt: prompt for prompt in prompts if prompt.skill in relations.SKILLS}
    where = build.device(config.runtime)
    detector: Detector = bundled_judge() if config.detector == JUDGE else ZeroShotDetector(config.detector, where, least=relations.LEAST)
    progress.start(sum(each.count for each in sets), "pictures")
    scores = [(each, _scores(each, asked, detector, config, progress)) for each in sets]
    levels = sorted({level for _, by_skill in scores for score in by_skill.values() for level in score.levels})
    facts: dict[str, Cell] = {
        "prompts": str(config.prompts),
        "detector": config.detector,
        "intervals": f"95 %, bootstrap of {config.resamples} over pictures, of colours over objects",
        "seed": config.seed,
    }
    rows: list[list[Cell]] = []
    for each, by_skill in scores:
        for skill, score in by_skill.items():
            spread = f" [{score.interval.low:.1f}, {score.interval.high:.1f}]" if score.interval else ""
            by_level = [f"{score.levels[level]:.1f}" if level in score.levels else None for level in levels]
            rows.append([each.name, skill, score.count, f"{score.mean:.1f}{spread}", *by_level])
    columns = ["", "skill", "judged", "right, %", *(f"{level} objects" for level in levels)]
    data = {"protocol": facts, "rows": [dict(zip(columns, row, strict=True)) for row in rows]}
    return Measured(Report(f"eval {', '.join(config.targets)}", facts, columns, rows, data=data), [pictured(each) for each, _ in scores])


def _scores(
    pictures: Pictures, asked: Mapping[str, BoxPrompt], detector: Detector, config: EvalConfig, progress: Progress
) -> dict[str, BenchmarkScore]:
    answers: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    for index, prompt in enumerate(pictures.prompts):
        if (wanted := asked.get(prompt)) is not None:
            picture = pictures.picture(index)
            found = detector.detect(picture, list(dict.fromkeys(wanted.objects)))
            answers[wanted.skill] += [(wanted.level, right) for right in relations.judged(wanted, found, picture)]
        progress.advance()
    if not answers:
        raise DataError(f"no picture of {pictures.name} was asked for with a prompt of {config.prompts} for which there is a rule")
    return {
        skill: relations.score([level for level, _ in each], [right for _, right in each], config.resamples, config.seed)
        for skill, each in answers.items()
    }
