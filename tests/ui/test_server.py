"""One port of this machine, or the next that is free."""

import pytest

from ditkit.errors import RequestError
from ditkit.ui.server import listening, serve


def test_a_port_in_use_is_passed_over_and_only_this_machine_is_served():
    with listening(0) as first:
        host, port = first.getsockname()
        with listening(port) as second:
            assert host == "127.0.0.1" and second.getsockname()[1] > port


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(RequestError, match=f"a port is from 0 to 65535, not {port}"):
        listening(port)


def test_a_file_is_no_folder_of_runs(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(RequestError, match="is a file, not a folder; choose another with --runs"):
        serve(tmp_path / "runs", 0, print)
