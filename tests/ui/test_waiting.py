"""The queue at the foot of the page changes as little as it has to, and stops what is pressed."""

from dash import no_update

from ditkit.ui.asked import Asked
from ditkit.ui.waiting import Waiting


def test_the_queue_is_drawn_anew_only_when_a_run_comes_or_ends(queue):
    waiting = Waiting(queue)
    assert "nothing is running" in str(waiting.show(None, None, [])[0])
    queue.add(Asked("sample", "<b>m</b>", ()))
    shown, seen, *_ = waiting.show(None, [], [])
    assert "Leave out" in str(shown) and "-b-m--b-" in str(shown)
    assert waiting.show(None, seen, [{"bar": 1}, {"bar": 7}]) == (no_update, seen, ["0", "0"], ["1", "1"], ["waiting", "waiting"])
    queue.stop(1)
    assert "1 before" in str(waiting.show(None, seen, [{"bar": 1}])[0])


def test_there_is_news_when_something_changed_alone(queue):
    waiting = Waiting(queue)
    known = waiting.look(None, None)
    assert known == [] and waiting.look(None, known) is no_update
    queue.add(Asked("sample", "m", ()))
    assert waiting.look(None, known) == [[1, "waiting", 0, 0]]
