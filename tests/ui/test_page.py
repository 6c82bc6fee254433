"""The page is whole: every part that is spoken of is there, and all that is shown can be heard."""

from typing import Any

from ditkit.ui.page import application, panels
from ditkit.ui.page import tabs as tabs_of


def parts(component: Any) -> list[Any]:
    return [component, *component._traverse()]


def names(component: Any) -> set[str]:
    return {part.id for part in parts(component) if isinstance(getattr(part, "id", None), str)}


def test_every_part_that_something_happens_to_is_on_the_page(queue, served):
    app = application(queue, served)
    there = names(app.layout()) | {name for panel in panels(tabs_of(queue, served)) for name in names(panel)}
    spoken = {
        each["id"]
        for callback in app._callback_list
        for each in (*callback["inputs"], *callback["state"])
        if not each["id"].startswith("{")
    }
    assert spoken <= there and len(spoken) > 40


def test_every_field_has_a_label(queue, served):
    for panel in panels(tabs_of(queue, served)):
        everything = parts(panel)
        labelled = {part.htmlFor for part in everything if type(part).__name__ == "Label" and getattr(part, "htmlFor", None)}
        fields = {part.id for part in everything if type(part).__name__ in ("Input", "Textarea", "Dropdown")}
        assert fields <= labelled
