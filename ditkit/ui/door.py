"""Who may come in, and what may be fetched: this machine's own pages, and the files of the runs."""

from flask import Flask, Response, abort, request, send_file

from ditkit.errors import OutputError
from ditkit.ui.folders import Served

NAMES = ("127.0.0.1", "localhost")
LARGEST_REQUEST = 2**28  # bytes; what may be uploaded is much less, and said
PAGE = "default-src 'self'; script-src 'self' 'unsafe-eval' {hashes}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
font-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
REPORT = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # a page from a folder runs nothing here
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def guard(server: Flask, hashes: list[str]) -> None:
    """Answer only what is asked of this machine by its own page.

    Another name in the Host header is how a foreign page reaches a server on loopback (DNS rebinding); another Origin is a foreign
    page that posts. Both are refused. The port may be another one, as of a tunnel.
    """
    policy = PAGE.format(hashes=" ".join(hashes))
    server.config["MAX_CONTENT_LENGTH"] = LARGEST_REQUEST

    @server.before_request
    def _known() -> None:
        if request.host.partition(":")[0] not in NAMES:
            abort(403, "ditkit ui answers to this machine only")
        if request.method == "GET" and request.path == "/":  # a link to the page may stand anywhere
            return
        origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "none")
        if origin not in (None, f"http://{request.host}") or site not in ("same-origin", "none"):
            abort(403, "ditkit ui answers to its own page only")

    @server.after_request
    def _told(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", policy)
        response.headers.update(HEADERS)
        return response


def serve_files(server: Flask, served: Served) -> None:
    """Serve the files of the runs, and nothing else, at /files/."""

    @server.get("/files/<path:name>")
    def _file(name: str) -> Response:
        try:
            path = served.file(name)
        except OutputError as error:
            abort(404, str(error))
        response = send_file(path, conditional=True, max_age=0)
        if path.suffix.lower() == ".html":
            response.headers["Content-Security-Policy"] = REPORT
        return response
