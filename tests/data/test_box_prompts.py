import json
from collections import Counter
from pathlib import Path

import pytest

from ditkit.data.box_prompts import BoxPrompt, read_box_prompts
from ditkit.errors import DataError

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "prompts"
HRS = {
    "id": "hrs-size-7",
    "category": "size",
    "prompt": "a cat which is bigger than a dog and smaller than car.",
    "meta": {"obj2": "dog", "obj1": "cat", "obj3": "car", "rel2": "smaller", "rel1": "bigger", "obj4": ""},
    "labels": ["cat", "dog", "car"],
    "boxes": [[0, 128, 256, 512], [300, 300, 300, 400], [400, -10, 560, 256]],
}


def _written(path: Path, *entries: object) -> Path:
    path.write_text("\n".join(map(json.dumps, entries)) + "\n", encoding="utf-8")
    return path


def test_hrs_is_read_with_boxes_as_fractions_clipped_and_never_empty(tmp_path: Path) -> None:
    without = {key: value for key, value in HRS.items() if key not in ("labels", "boxes")}
    first, second = read_box_prompts(_written(tmp_path / "hrs.jsonl", HRS, without))
    assert first == BoxPrompt(
        "hrs-size-7",
        "a cat which is bigger than a dog and smaller than car.",
        "size",
        objects=("cat", "dog", "car"),
        relations=("bigger", "smaller"),
        labels=("cat", "car"),
        boxes=((0, 0.25, 0.5, 1), (0.78125, 0, 1, 0.5)),
    )
    assert first.level == 3
    assert second.boxes == ()


@pytest.mark.parametrize(
    ("prompt", "objects", "relation"),
    [
        ("A train on top of a surfboard.", ("train", "surfboard"), "above"),
        ("A hair drier underneath a sheep.", ("hair drier", "sheep"), "below"),
        ("A banana on the left of an apple.", ("banana", "apple"), "left"),
        ("An umbrella to the right of a fire hydrant.", ("umbrella", "fire hydrant"), "right"),
    ],
)
def test_drawbench_says_in_its_prompt_what_lies_where(tmp_path: Path, prompt: str, objects: tuple[str, ...], relation: str) -> None:
    (tmp_path / "prompts.csv").write_text(f"Prompts,Category\nA red car.,Colors\n{prompt},Positional\n")
    [asked] = read_box_prompts(tmp_path / "prompts.csv")
    assert (asked.objects, asked.relations, asked.skill) == (objects, (relation,), "spatial")
    entry = {"category": "spatial", "prompt": prompt, "labels": list(objects), "boxes": [[0, 0, 256, 256], [256, 256, 512, 512]]}
    [boxed] = read_box_prompts(_written(tmp_path / "boxes.jsonl", entry))
    assert (boxed.objects, boxed.relations, boxed.boxes[1]) == (objects, (relation,), (0.5, 0.5, 1, 1))


def test_nsr_gives_sides_as_fractions(tmp_path: Path) -> None:
    spatial = {"id": 7, "obj1": ["cat", [0.5, 0.25, 0.25, 0.5]], "obj2": ["dog", [0, 0, 2, 1]], "prompt": "p", "relation": "left"}
    counting = {
        "id": 8,
        "num_object": [["clock", 2]],
        "object_list": [["clock", [0, 0, 0.5, 1]], ["clock", [0.5, 0, 0.5, 1]]],
        "prompt": "q",
    }
    file = tmp_path / "nsr.json"
    file.write_text(json.dumps([spatial, counting]))
    first, second = read_box_prompts(file)
    assert first.boxes == ((0.5, 0.25, 0.75, 0.75), (0, 0, 1, 1))
    assert (first.objects, first.relations) == (("cat", "dog"), ("left",))
    assert (second.objects, second.labels, second.skill) == (("clock",), ("clock", "clock"), "counting")


def test_lmd_is_read_from_answers_as_they_came_and_runs_no_code(tmp_path: Path) -> None:
    file = tmp_path / "lmd.json"
    file.write_text(json.dumps({"a dog": ["[('a dog', [128, 0, 256, 512])]\nBackground prompt: x", "[]\nBackground prompt: y"]}))
    first, second = read_box_prompts(file)
    assert (first.labels, first.boxes) == (("a dog",), ((0.25, 0, 0.75, 1),))
    assert second.boxes == ()
    file.write_text(json.dumps({"a dog": ["__import__('os').getcwd()"]}))
    with pytest.raises(DataError, match="'a dog' is no prompt with boxes: the answer does not begin with a list of things"):
        read_box_prompts(file)


def test_what_cannot_be_read_says_where(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"prompt": "p"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl, line 1 is no prompt with boxes: it lacks 'category'$"):
        read_box_prompts(file)
    file.write_text('["p"]\n')
    with pytest.raises(DataError, match=r"line 1 is no prompt with boxes: it is not laid out like one of HRS, DrawBench, NSR-1K or LMD$"):
        read_box_prompts(file)
    file.write_text("\n{\n")
    with pytest.raises(DataError, match=r"a\.jsonl, line 2 is not JSON: "):
        read_box_prompts(file)
    with pytest.raises(DataError, match="^cannot read the prompts of "):
        read_box_prompts(tmp_path / "gone.csv")
    (tmp_path / "b.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"b\.csv is not DrawBench's table: it has no columns Prompts and Category$"):
        read_box_prompts(tmp_path / "b.csv")
    (tmp_path / "c.txt").write_text("")
    with pytest.raises(DataError, match=r"c\.txt is no file of prompts with boxes; known are "):
        read_box_prompts(tmp_path / "c.txt")


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published prompts are not here")
def test_the_published_files_are_read_whole() -> None:
    hrs = read_box_prompts(PUBLISHED / "hrs_prompts_boxes.jsonl")
    counts = Counter((asked.skill, asked.level) for asked in hrs)
    assert [counts["spatial", level] for level in (2, 3, 4)] == [334] * 3
    assert [counts[skill, level] for skill in ("size", "color") for level in (2, 3, 4)] == [167] * 6
    assert all(0 <= edge <= 1 for asked in hrs for box in asked.boxes for edge in box)
    drawbench = read_box_prompts(PUBLISHED / "drawbench_prompts.csv")
    assert len(drawbench) == 20
    boxed = {asked.prompt: asked for asked in read_box_prompts(PUBLISHED / "drawbench_boxes.jsonl")}
    for asked in drawbench:
        assert boxed[asked.prompt].labels == asked.objects
    for name in ("nsr1k_spatial.train.json", "nsr1k_spatial.val.json", "nsr1k_counting.val.json", "lmd_gpt4_layouts.json"):
        assert len(read_box_prompts(PUBLISHED / name)) > 100


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", "{}\n" + "[" * 100_000, "line 2 is not JSON: maximum recursion depth exceeded"),
        ("a.json", "[" * 100_000, "a.json is not a file of prompts: maximum recursion depth exceeded"),
        ("a.json", '{"a": 3}', "a.json, 'a' is no prompt with boxes: it is not laid out like one of HRS"),
        ("a.json", json.dumps({"a": ["-" * 100_000 + "1"]}), "'a' is no prompt with boxes: the answer does not begin with a list"),
        ("a.csv", "Category,Prompts\nPositional\n", "a.csv, line 2 is no prompt with boxes: it is not laid out like one of HRS"),
        ("a.csv", "Prompts,Category\n" + "x" * 200_000, "a.csv is not DrawBench's table: field larger than field limit"),
        ("a.jsonl", json.dumps({**HRS, "boxes": [[0, 0, 10**400, 1]] * 3}), "a.jsonl, line 1 is no prompt with boxes: integer division"),
    ],
)
def test_what_is_laid_out_otherwise_says_where(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text.replace("{}\n", json.dumps(HRS) + "\n"))
    with pytest.raises(DataError, match=message):
        read_box_prompts(tmp_path / name)


def test_what_is_refused_is_named_with_its_line(tmp_path: Path) -> None:
    def refuse_dogs(asked: BoxPrompt) -> None:
        if "dog" in asked.objects:
            raise DataError("it has a dog")

    file = _written(tmp_path / "a.jsonl", {**HRS, "meta": {"obj1": "cat"}}, HRS)
    with pytest.raises(DataError, match=r"a\.jsonl, line 2 cannot be judged: it has a dog$"):
        read_box_prompts(file, refuse_dogs)
