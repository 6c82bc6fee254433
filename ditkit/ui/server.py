"""The server: on loopback only, at the first free port, until it is interrupted."""

import contextlib
import errno
import logging
import socket
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ditkit.errors import RequestError
from ditkit.ui.folders import Served
from ditkit.ui.queue import Queue

if TYPE_CHECKING:
    from werkzeug.serving import BaseWSGIServer

HOST = "127.0.0.1"
MOST_PORTS = 50  # that are tried, one after the other
LARGEST_PORT = 65535


def serve(root: Path, port: int, say: Callable[[str], object], browser: bool = False) -> None:
    """Serve the page of the runs in `root` until the process is interrupted; what is running then is interrupted too.

    Raises `RequestError` where no port can be had, and for a `root` that is no folder.
    """
    if root.exists() and not root.is_dir():
        raise RequestError(f"{root} is a file, not a folder; choose another with --runs")
    with listening(port) as listener:
        server, queue = _server(root, listener)
        found = listener.getsockname()[1]
        address = f"http://{HOST}:{found}"
        say(f"{f'port {port} is in use; ' if port not in (0, found) else ''}serving {root} at {address} (Ctrl-C ends it)")
        if browser:
            webbrowser.open(address)
        threading.Thread(target=_load, name="load", daemon=True).start()  # not before, so that the first page is there at once
        with queue:
            server.serve_forever()


def _server(root: Path, listener: socket.socket) -> "tuple[BaseWSGIServer, Queue]":
    """The server of a page, which answers from now on, and the queue of its runs."""
    from werkzeug.serving import make_server

    from ditkit.ui.door import guard, serve_files
    from ditkit.ui.page import application

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request would hide the others
    queue, served, port = Queue(root), Served(root), listener.getsockname()[1]
    app = application(queue, served)
    guard(app.server, list(app.csp_hashes()))
    serve_files(app.server, served)
    return make_server(HOST, port, app.server, threaded=True, fd=listener.fileno()), queue


def listening(port: int) -> socket.socket:
    """A socket that listens on loopback, at this port or the next free one (any, for 0); raises `RequestError`."""
    if not 0 <= port <= LARGEST_PORT:
        raise RequestError(f"a port is from 0 to {LARGEST_PORT}, not {port}")
    last = min(port + MOST_PORTS, LARGEST_PORT + 1)
    for tried in range(port, last):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, tried))
            listener.listen(128)
            return listener
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise RequestError(f"cannot serve at port {tried}: {error.strerror}; choose another with --port") from error
    raise RequestError(f"the ports from {port} to {last - 1} are all in use; choose another with --port")


def _load() -> None:
    """Load what the tabs need while nobody has asked for them yet."""
    with contextlib.suppress(ImportError):  # which is said where it is needed
        import ditkit.models.registry  # noqa: F401
