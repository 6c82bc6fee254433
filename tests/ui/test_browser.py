"""The page in a browser: what is drawn is run, what is run is seen, and nothing is taken for markup or asked of another machine."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ditkit.cli.app import app

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
PATIENCE = 120  # seconds that a run may take on a busy machine
CONTROL = "\ue009"  # selenium's key
TABS = ("Pictures", "Boxes", "Shapes", "Runs")


class Page:
    """The browser, and what a person does in it."""

    def __init__(self, browser: Any, address: str, folder: Path) -> None:
        self.browser, self.address, self.folder = browser, address, folder

    def open(self) -> None:
        self.browser.get(self.address)
        self.until(lambda: self.browser.find_element("id", "pictures-run"))

    def until(self, true: Callable[[], Any]) -> Any:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                if found := true():
                    return found
            except Exception:  # it is being drawn anew
                if time.monotonic() > end:
                    raise
            assert time.monotonic() < end, self.browser.find_element("tag name", "body").text
            time.sleep(0.1)

    def tab(self, name: str) -> None:
        self.browser.execute_script(
            "[...document.querySelectorAll('#tab label')].find(tab => tab.textContent == arguments[0]).click()", name
        )
        self.until(lambda: not self.browser.find_element("id", f"tab-{name.lower()}").get_attribute("hidden"))

    def type(self, name: str, words: str) -> None:
        field = self.until(lambda: self.browser.find_element("id", name))
        field.send_keys(CONTROL, "a")  # not `clear`, of which React hears nothing
        field.send_keys(words)

    def click(self, name: str) -> None:
        self.browser.find_element("id", name).click()

    def text(self, name: str) -> str:
        return self.browser.find_element("id", name).text

    def all(self, css: str) -> list[Any]:
        return self.browser.find_elements("css selector", css)

    def drag(self, element: Any, begin: tuple[float, float], end: tuple[float, float]) -> None:
        """From one place to another, in shares of the element."""
        from selenium.webdriver import ActionChains  # pyright: ignore[reportMissingImports] (an import would fail before the skip)

        width, height = element.rect["width"], element.rect["height"]
        half = int((end[0] - begin[0]) * width / 2), int((end[1] - begin[1]) * height / 2)
        chain = ActionChains(self.browser, duration=60)
        chain.move_to_element_with_offset(element, int((begin[0] - 0.5) * width), int((begin[1] - 0.5) * height))
        chain.click_and_hold().move_by_offset(*half).move_by_offset(*half).release().perform()

    def screen(self, width: int, dark: bool = False) -> None:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})

    def requests(self) -> list[str]:
        """What was asked of servers since this was called last."""
        said = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        return [entry["params"]["request"]["url"] for entry in said if entry["method"] == "Network.requestWillBeSent"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a server, and the folder it works in; Ctrl-C ends it cleanly."""
    folder = tmp_path_factory.mktemp("ui")
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
    with subprocess.Popen(
        [sys.executable, "-m", "ditkit", "ui", "--port", "0"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split(" at ")[1].split()[0], folder
        finally:
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 130 and said == "ditkit: interrupted\n"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium, which drives the browser, is not installed")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("there is no chromium, or no chromedriver (on Debian: apt install chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield started
    started.quit()


@pytest.fixture
def page(server: tuple[str, Path], browser: Any, tmp_path: Path) -> Iterator[Page]:
    shown = Page(browser, *server)
    folder = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", folder)
    shown.screen(1600)
    shown.open()
    browser.execute_script("sessionStorage.clear()")
    shown.open()
    yield shown
    severe = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not severe
    assert all(url.startswith((shown.address, "data:", "blob:")) for url in shown.requests())


def test_two_boxes_are_drawn_labelled_run_and_seen_and_their_file_makes_the_same_picture(page, tmp_path, monkeypatch):
    page.tab("Boxes")
    canvas = page.until(lambda: page.all("#boxes-canvas .nsewdrag")[0])
    for number, (begin, end) in enumerate((((0.05, 0.3), (0.45, 0.95)), ((0.95, 0.9), (0.5, 0.4))), 1):
        page.drag(canvas, begin, end)
        page.until(lambda number=number: len(page.all("#boxes-rows .box")) == number)
    for index, label in enumerate(("fox", "apple")):
        page.all("#boxes-rows .label input")[index].send_keys(f"{label}\t")
        page.until(lambda label=label: label in [text.text for text in page.all("#boxes-canvas text")])
    page.type("boxes-steps", "2")
    page.until(lambda: page.text("boxes-line").count("--steps 2") == 2)
    page.click("boxes-run")
    page.until(lambda: len(page.all("#boxes-made img")) == 2)
    page.until(lambda: page.text("boxes-made").count("done") == 2)
    assert all(image.get_attribute("naturalWidth") != "0" for image in page.all("#boxes-made img"))
    assert "a fox and an apple, seed 0, boxes enforced" in [image.get_attribute("alt") for image in page.all("#boxes-made img")]
    page.click("boxes-save")
    file = tmp_path / "boxes.json"
    page.until(file.is_file)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["ground", "--boxes", "boxes.json", "--steps", "2", "--out", "again"])
    assert result.exit_code == 0, result.output
    own = page.folder / page.text("boxes-line").split()[-1]
    assert (own / "images" / "000000.png").read_bytes() == (tmp_path / "again" / "images" / "000000.png").read_bytes()
    page.all("#boxes-rows button")[0].click()
    page.until(lambda: len(page.all("#boxes-rows .box")) == 1)


def test_a_box_is_moved_on_the_canvas_and_erased(page):
    page.tab("Boxes")
    page.click("boxes-add")
    page.until(lambda: len(page.all("#boxes-rows .box")) == 1)
    canvas = page.until(lambda: page.all("#boxes-canvas .nsewdrag")[0])
    page.drag(canvas, (0.5, 0.25), (0.5, 0.25))  # a click on its edge chooses it
    page.until(lambda: page.all("#boxes-canvas .outline-controllers *"))
    page.drag(canvas, (0.5, 0.5), (0.6, 0.6))

    def edges() -> list[float]:
        return [round(float(edge), 1) for edge in page.all("#boxes-rows .edges input")[0].get_attribute("value").split(",")]

    page.until(lambda: edges() == [0.3, 0.3, 0.8, 0.8] or edges() == [0.4, 0.4, 0.8, 0.8])
    page.all("#boxes-canvas [data-title^=Erase]")[0].click()
    page.until(lambda: not page.all("#boxes-rows .box"))


def test_shapes_are_made_and_turned_together(page):
    page.tab("Shapes")
    page.type("shapes-steps", "2")
    page.type("shapes-count", "2")
    page.until(lambda: "--count 2 --steps 2" in page.text("shapes-line"))
    page.click("shapes-run")
    shapes = page.until(lambda: len(found := page.all("#shapes-made .js-plotly-plot")) == 2 and found)
    page.until(lambda: "done" in page.text("shapes-made"))
    cameras = "return [...document.querySelectorAll('#shapes-made .js-plotly-plot')].map(shape => shape._fullLayout.scene.camera.eye)"
    before = page.browser.execute_script(cameras)
    shapes = page.all("#shapes-made .js-plotly-plot")
    page.drag(shapes[0], (0.3, 0.5), (0.7, 0.6))
    page.until(lambda: all(now != then for now, then in zip(page.browser.execute_script(cameras), before, strict=True)))
    links = [link.get_attribute("href") for link in page.all("#shapes-made figcaption a")]
    assert len(links) == 2 and all(".ply" in link for link in links)


def test_a_run_is_stopped_and_goes_on_after_a_reload(page):
    page.type("pictures-count", "400")
    page.until(lambda: "--count 400" in page.text("pictures-line"))
    page.click("pictures-run")
    page.until(lambda: " of 8000" in page.text("line"))
    page.until(lambda: page.all("#pictures-made img"))
    page.open()
    page.until(lambda: " of 8000" in page.text("line") and page.all("#pictures-made img"))
    assert page.browser.find_element("id", "pictures-count").get_attribute("value") == "400"
    stop, before = next(button for button in page.all("#line button") if button.text == "Stop"), page.text("line")
    page.until(lambda: page.text("line") != before)
    stop.click()  # which is still the same button
    page.until(lambda: "stopped" in page.text("pictures-made"))
    page.until(lambda: "nothing" in page.text("line") or "before" in page.text("line"))


def test_an_upload_that_is_broken_is_refused_in_words(page, tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text('{"prompt": 1}')
    page.tab("Boxes")
    page.all("#boxes-upload input")[0].send_keys(str(broken))
    page.until(lambda: page.text("boxes-told") == "broken.json: prompt is a text, not 1")
    page.tab("Shapes")
    page.all("#shapes-upload input")[0].send_keys(str(broken))
    page.until(lambda: page.text("shapes-told").startswith("broken.json is neither a cloud nor a mesh that ditkit reads"))


def test_words_are_shown_as_they_are(page):
    words = "<img src=x onerror=alert(1)> <b>fox</b>"
    page.tab("Boxes")
    page.click("boxes-add")
    field = page.until(lambda: page.all("#boxes-rows .label input")[-1])
    field.send_keys(f"{words}\t")
    page.until(lambda: "onerror" in page.text("boxes-line"))
    page.until(lambda: words in [text.text for text in page.all("#boxes-canvas text")])
    assert not page.all("#boxes-canvas b, img[src='x'], #boxes-line b")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1600])
def test_each_tab_fits_and_can_be_read(page, tmp_path, width, dark):
    page.screen(width, dark)
    for tab in TABS:
        page.tab(tab)
        time.sleep(1)  # until all is drawn
        page.browser.save_screenshot(str(tmp_path / f"{tab}-{width}.png"))
        assert page.browser.execute_script("return document.documentElement.scrollWidth") <= width
    colours = "const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]"
    back, ink = (sum(map(int, colour[4:-1].split(","))) for colour in page.browser.execute_script(colours))
    assert (back < ink) == dark and abs(back - ink) > 3 * 128
