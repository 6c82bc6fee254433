"""The server answers this machine's own page, and serves nothing but the files of runs."""

import re

import pytest
from flask.testing import FlaskClient

from ditkit.ui.door import guard, serve_files
from ditkit.ui.folders import Served
from ditkit.ui.page import application
from ditkit.ui.queue import Queue

HOME = "http://127.0.0.1:8050"
ASK = "/_dash-update-component"


@pytest.fixture
def client(tmp_path) -> FlaskClient:
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "report.html").write_text("<script>alert(1)</script>")
    (tmp_path / "secret.json").write_text("{}")
    queue, served = Queue(tmp_path / "runs"), Served(tmp_path / "runs")
    app = application(queue, served)
    guard(app.server, list(app.csp_hashes()))
    serve_files(app.server, served)
    return app.server.test_client()


def test_the_page_comes_from_here_whole(client):
    page = client.get("/", base_url=HOME)
    sources = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert page.status_code == 200 and len(sources) > 5 and all(source.startswith(("/", "data:")) for source in sources)
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self'; ")  # a browser asks nobody else
    assert client.get("/_dash-layout", base_url=HOME).status_code == 200


@pytest.mark.parametrize("host", ["http://evil.example:8050", "http://127.0.0.1.evil.example:8050", "http://192.168.0.1:8050"])
def test_another_name_is_refused(client, host):
    assert client.get("/", base_url=host).status_code == client.post(ASK, base_url=host, json={}).status_code == 403


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:81"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_another_page_is_refused(client, headers):
    assert client.post(ASK, base_url=HOME, json={}, headers=headers).status_code == 403


def test_its_own_page_is_not_nor_a_link_to_it(client):
    assert client.get("/", base_url=HOME, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200
    own = {"Origin": HOME, "Sec-Fetch-Site": "same-origin"}
    assert (
        client.get("/_dash-dependencies", base_url="http://localhost:8050", headers=own | {"Origin": "http://localhost:8050"}).status_code
        == 200
    )


@pytest.mark.parametrize("name", ["../secret.json", "%2e%2e/secret.json", "a/../../secret.json", "a", "a/none.png"])
def test_a_path_outside_is_refused(client, name):
    answer = client.get(f"/files/{name}", base_url=HOME)
    assert answer.status_code == 404


def test_a_page_from_a_folder_runs_nothing(client):
    with client.get("/files/a/report.html", base_url=HOME) as report:
        pass
    assert report.status_code == 200 and report.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
