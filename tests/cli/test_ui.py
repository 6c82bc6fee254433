"""`ditkit ui`: from the words typed to the server."""

from pathlib import Path

from ditkit.ui import server


def test_the_words_say_where_to_serve_and_which_runs(ditkit_command, monkeypatch):
    asked = []
    monkeypatch.setattr(server, "serve", lambda root, port, say, browser: asked.append((root, port, browser)))
    assert ditkit_command("ui").exit_code == ditkit_command("ui", "--port", "8060", "--runs", "my runs", "--open").exit_code == 0
    assert asked == [(Path("runs"), 8050, False), (Path("my runs"), 8060, True)]


def test_what_cannot_be_served_is_one_line(ditkit_command):
    result = ditkit_command("ui", "--port", "70000")
    assert result.exit_code == 2 and result.stderr == "ditkit: a port is from 0 to 65535, not 70000\n"
