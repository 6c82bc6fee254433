"""The forms offer the models of the registry, and what suits the one that is chosen."""

from ditkit.ui import choices


def test_models_are_offered_where_they_can_be_asked_and_those_that_are_here_come_first():
    assert {"dit-emoji", "pixart-emoji"} <= set(choices.pictures()[:5]) and "dit3d-shapes" not in choices.pictures()
    assert choices.grounded()[0] == "pixart-emoji" and "dit-emoji" not in choices.grounded()
    assert choices.clouds()[0] == "dit3d-shapes" and "dit-emoji" not in choices.clouds()


def test_a_model_says_how_it_is_asked():
    classes, prompts, clouds = (choices.chosen(name) for name in ("dit-emoji", "pixart-emoji", "dit3d-shapes"))
    assert "fox" in classes.classes and not classes.reads and classes.shapes == ("64x64",)
    assert prompts.reads and not prompts.classes and prompts.shapes[0] == "128x128" and "96x168" in prompts.shapes
    assert "chair" in clouds.classes and clouds.points == 2048 and choices.chosen("dit-xl-2-256").classes[-1] == "999"
