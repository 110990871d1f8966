"""The page in a real browser: it opens fast, everything on it answers, and hostile names do nothing.

Screenshots are left in pytest's temporary folder, to be looked at.
"""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import threading
import time

import pytest

from embfact.results.dashboard.html import page
from embfact.results.dashboard.payload import payload
from embfact.results.dashboard.server import make_server
from embfact.results.dashboard.sweep import read_sweep
from embfact.results.table.latex import escape
from tests.helpers.records import make_values
from tests.results.dashboard.made_up import HOSTILE, write_hostile, write_large, write_rates, write_run, write_small

pytestmark = pytest.mark.slow
LIMIT = 2000  # milliseconds until the table and the plot are drawn: what users are promised
ROWS = "#table tbody tr"


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium of the system; it has no network to begin with."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("chromium and chromedriver are not installed (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for word in ("headless=new", "no-sandbox", "disable-gpu", "window-size=1400,1000"):
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as made:
        yield made


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Pages of made-up sweeps, as files."""
    folder, made = tmp_path_factory.mktemp("pages"), {}

    def write(name):
        if name not in made:
            makers = {"small": write_small, "large": write_large, "rates": write_rates, "hostile": write_hostile}
            html = page(payload(read_sweep([str(makers[name](folder / name))])))
            made[name] = folder / f"{name}.html"
            made[name].write_text(html)
        return made[name].as_uri()

    return write


class Page:
    """What a person does on the page."""

    def __init__(self, browser, url):
        self.browser = browser
        browser.get(url)
        self.opened = self.wait("document.documentElement.dataset.opened")

    def run(self, code, *arguments):
        return self.browser.execute_script(code, *arguments)

    def wait(self, condition, seconds=20.0):
        """The value of an expression once it is true."""
        end = time.monotonic() + seconds
        while not (value := self.run(f"return {condition}")):
            assert time.monotonic() < end, f"{condition} is not so after {seconds} s"
            time.sleep(0.05)
        return value

    def click(self, selector, place=0, keys=""):
        self.run(
            "const found = document.querySelectorAll(arguments[0])[arguments[1]];"
            "found.dispatchEvent(new MouseEvent('click', {bubbles: true, shiftKey: arguments[2] === 'shift'}))",
            selector,
            place,
            keys,
        )

    def choose(self, selector, value):
        self.run(
            "const menu = document.querySelector(arguments[0]); menu.value = arguments[1];"
            "menu.dispatchEvent(new Event('change', {bubbles: true}))",
            selector,
            value,
        )

    def texts(self, selector):
        code = "return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText ?? one.textContent)"
        return self.run(code, selector)

    def column(self, head):
        heads = [text.rstrip(" ▴▾") for text in self.texts("#table th")]
        return self.texts(f"{ROWS} td:nth-child({heads.index(head) + 1})")

    def points(self, trace=None):
        """Sizes and values of the points that are drawn; of the last trace, those selected."""
        code = "return document.getElementById('scatter').data.map((one) => [one.mode, [...one.x], [...one.y]])"
        traces = self.run(code)
        drawn = [list(zip(x, y, strict=True)) for mode, x, y in traces if mode == "markers"]
        return drawn[trace] if trace is not None else [point for points in drawn[:-1] for point in points]

    def errors(self):
        return [entry["message"] for entry in self.browser.get_log("browser")]


@pytest.fixture
def open_page(browser, written, tmp_path):
    """Opens a made-up sweep; afterwards there is a screenshot, and nothing on the console."""
    pages = []

    def open_it(name):
        browser.get_log("browser")
        pages.append(Page(browser, written(name)))
        return pages[-1]

    yield open_it
    browser.save_screenshot(str(tmp_path / "page.png"))
    assert (tmp_path / "page.png").stat().st_size > 10_000
    assert pages[-1].errors() == []


@pytest.mark.parametrize("name", ["small", "large"])
@pytest.mark.parametrize("mode", ["means", "runs"])
def test_it_opens_in_two_seconds(open_page, name, mode):
    opened = [int(open_page(name).opened) for _ in range(3)]
    shown = open_page(name)
    before = shown.run("return performance.now()")
    shown.choose("#mode", mode)
    drawn = shown.run("return performance.now()") - before
    print(f"{name}: opened in {sorted(opened)} ms; {mode} drawn in {drawn:.0f} ms")
    # The best of three: other processes of this machine can only make it slower.
    assert min(opened) < LIMIT
    assert drawn < LIMIT


@pytest.mark.parametrize(("name", "rows"), [("small", 3), ("large", 100)])
def test_points_and_rows_are_the_runs(open_page, name, rows):
    shown = open_page(name)
    shown.choose("#mode", "runs")
    runs = shown.run("return JSON.parse(document.getElementById('data').textContent).runs")
    finished = [run for run in runs if run["status"] == "finished" and run["data"] == runs[0]["data"]]
    assert len(shown.points()) == len(finished) >= 2
    assert len(shown.texts(ROWS)) == rows
    shown.choose("#axis", "3")
    assert "model bytes" in shown.texts("#scatter .xtitle")[0]


@pytest.mark.parametrize("mode", ["means", "runs"])
def test_dense_runs_of_two_learning_rates_are_two_lines(open_page, mode):
    shown = open_page("rates")
    shown.choose("#mode", mode)
    layout = "document.getElementById('scatter').layout"
    heights = shown.run(f"return {layout}.shapes.map((one) => [one.y0, one.y1])")
    assert [pytest.approx([line, line]) for line in (54.2, 69.8)] == heights
    names = shown.run(f"return {layout}.annotations.map((one) => one.text)")
    assert names == ["dense 54.2 (lr=1e-05)", "dense 69.8 (lr=0.0001)"]
    assert any("random r=16 (lr=1e10)" in note for note in shown.texts("#notes li"))


def test_lines_of_dense_runs_follow_the_filters(open_page):
    shown = open_page("rates")
    shown.click('#filters details[data-key="setting"] input[value="lr=1e-05"]')
    heights = shown.run("return document.getElementById('scatter').layout.shapes.map((one) => one.y0)")
    assert heights == [pytest.approx(69.8)]


def test_shares_are_of_the_dense_model_of_the_runs_that_are_drawn(browser, tmp_path):
    """A head of three classes makes the dense model of another data set larger."""
    dense, other = make_values("none", None), make_values("none", None, data="mnli")
    for part in (other["size"], other["size"]["dense"]):
        part["model"]["parameters"] += 5_000_000
    for values in (dense, make_values("svd", 64), other):
        write_run(tmp_path, values)
    html = tmp_path / "page.html"
    html.write_text(page(payload(read_sweep([str(tmp_path)]))))
    shown = Page(browser, html.as_uri())
    shown.choose("#dataset", "sst2")
    shown.choose("#axis", "1")
    axis = shown.run("return document.getElementById('scatter').layout.xaxis")
    ticks = dict(zip(axis["ticktext"], axis["tickvals"], strict=True))
    assert ticks["22.7M<br>dense"] == dense["size"]["dense"]["model"]["parameters"]


def test_numbers_of_a_run_are_told_with_every_digit(open_page):
    shown = open_page("rates")
    shown.choose("#mode", "runs")
    places = [place for place, method in enumerate(shown.column("method")) if method == "random"]
    shown.click(ROWS, places[0])
    shown.run("document.querySelectorAll('#details details').forEach((one) => (one.open = true))")
    facts = dict(line.split("\t", 1) for line in shown.texts("#details tr") if "\t" in line)
    expected = {"optimizer.lr": "1e10", "optimizer.betas": "[0.9,0.999]", "max_steps": "123456789"}
    assert expected.items() <= facts.items()
    assert facts["dense.embedding.parameters"] == "11720448"


@pytest.mark.parametrize("name", ["small", "large"])
def test_sorting(open_page, name):
    shown = open_page(name)
    shown.choose("#mode", "runs")
    shown.click('#table th button[data-key^="figure"]')
    values = [float(text) for text in shown.column("accuracy") if text]
    assert values == sorted(values, reverse=True)
    shown.click('#table th button[data-key^="figure"]')
    again = [float(text) for text in shown.column("accuracy") if text]
    assert again == sorted(again)
    assert shown.run("return document.querySelector('#table th[aria-sort=ascending]').innerText").startswith("accuracy")


@pytest.mark.parametrize(("name", "method", "left"), [("small", "svd", 2), ("large", "hashed", 10)])
def test_filtering(open_page, name, method, left):
    shown = open_page(name)
    menu = '#filters details[data-key="method"]'
    shown.click(f"{menu} summary")
    shown.click(f"{menu} .options p button", 1)
    assert "No run matches the filters" in shown.texts("#scatter-empty")[0]
    shown.click(f'{menu} input[value="{method}"]')
    assert set(shown.column("method")) == {method}
    assert len(shown.texts(ROWS)) == left
    assert shown.run(f"return document.querySelector('{menu}').open")
    shown.click("#filters > button")
    assert len(set(shown.column("method"))) > 1


@pytest.mark.parametrize("name", ["small", "large"])
def test_a_row_selects_its_point_its_curve_and_its_configuration(open_page, name):
    shown = open_page(name)
    shown.choose("#mode", "runs")
    shown.click('#table th button[data-key^="figure"]')
    shown.click(ROWS, 1)
    ((_, value),) = shown.points(-1)
    assert f"{value:.1f}" == shown.column("accuracy")[1]
    assert shown.run("return document.getElementById('curves').data.length") == 1
    name_of_run = shown.column("run")[1]
    assert shown.texts("#details h3") == [name_of_run]
    seed = re.search(r"-s(\d+)-", name_of_run)[1]
    facts = dict(line.split("\t", 1) for line in shown.texts("#details tr") if "\t" in line)
    assert facts["seed"] == seed
    shown.click(ROWS, 0, keys="shift")
    assert len(shown.points(-1)) == 2
    shown.click("#clear")
    assert "Select runs" in shown.texts("#curves-empty")[0]


@pytest.mark.parametrize("name", ["small", "large"])
def test_a_point_and_a_box_select_their_rows(open_page, name):
    from selenium.webdriver import ActionChains

    shown = open_page(name)
    place = shown.run(
        "const plot = document.getElementById('scatter'), {x, y} = plot.getBoundingClientRect();"
        "const best = plot.data[0], {xaxis, yaxis} = plot._fullLayout, last = best.x.length - 1;"
        "return [x + xaxis._offset + xaxis.d2p(best.x[last]), y + yaxis._offset + yaxis.d2p(best.y[last])]"
    )
    mouse = ActionChains(shown.browser)
    mouse.w3c_actions.pointer_action.move_to_location(*map(int, place)).click()
    mouse.perform()
    shown.wait(f"document.querySelector('{ROWS}[aria-selected=true]')")
    assert len(shown.points(-1)) == 1
    assert "none" in shown.texts(f"{ROWS}[aria-selected=true]")[0]
    plot = shown.run(
        "const plot = document.getElementById('scatter'), {x, y} = plot.getBoundingClientRect();"
        "const {l, t, w, h} = plot._fullLayout._size; return [x + l + 2, y + t + 2, x + l + w - 2, y + t + h - 2]"
    )
    box = ActionChains(shown.browser)
    box.w3c_actions.pointer_action.move_to_location(*map(int, plot[:2])).pointer_down()
    box.w3c_actions.pointer_action.move_to_location(*map(int, plot[2:])).pointer_up()
    box.perform()
    shown.wait(f"document.querySelectorAll('{ROWS}[aria-selected=true]').length > 1")
    assert len(shown.points(-1)) == len(shown.points())


@pytest.mark.parametrize("name", ["small", "large"])
def test_the_keyboard_reaches_every_row(open_page, name):
    shown = open_page(name)
    shown.run(f"document.querySelector('{ROWS}[tabindex=\"0\"]').focus()")
    for key in ("ArrowDown", "Enter"):
        shown.run(
            "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0], bubbles: true}))",
            key,
        )
    assert shown.run(f"return [...document.querySelectorAll('{ROWS}')].indexOf(document.activeElement)") == 1
    assert shown.run("return document.activeElement.getAttribute('aria-selected')") == "true"


def test_failures_have_their_reasons(open_page):
    shown = open_page("small")
    assert shown.texts("#failures p") == ["out of memory at step 7"]
    shown.click("#failures button")
    assert shown.texts("#details .alarm") == ["failed: out of memory at step 7"]


def test_the_table_is_copied_as_latex_and_csv(open_page):
    shown = open_page("small")
    shown.run(
        "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async (text) => {window.copied = text}}})"
    )
    shown.click("#copy-latex")
    latex = shown.wait("window.copied")
    assert r"\begin{tabular}{lrrlrrrrrrl}" in latex
    assert r"svd & 64 & 0 & finished & 85.0 & 1.98M & 13.0M & 7.91MB & 51.9MB & 50.0 &" in latex
    assert latex.count("\n") == 15
    shown.run("window.copied = ''")
    shown.click(ROWS, 1)
    shown.click("#copy-csv")
    head, line = shown.wait("window.copied").splitlines()
    assert head.startswith("method,rank,seed,status,accuracy,embedding parameters,model parameters")
    assert line.startswith("svd,64,0,finished,0.85,1977984,12967984,7911936,51871936,50,sst2-minilm-svd-r64-s0-")


def test_what_is_copied_holds_names_as_they_are(browser, tmp_path):
    names = ["[mine] 50%", "*best", 'say "a" -- |b|', "=1+1"]
    for name in names:
        write_run(tmp_path, make_values(name, 64, options={"optimizer": {"lr": name}}))
    html = tmp_path / "page.html"
    html.write_text(page(payload(read_sweep([str(tmp_path)]))))
    shown = Page(browser, html.as_uri())
    shown.run(
        "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async (text) => {window.copied = text}}})"
    )
    shown.click("#copy-latex")
    latex = shown.wait("window.copied")
    lines = latex[latex.index(r"\midrule") :].splitlines()[1:]
    assert not [line for line in lines if line.startswith(("[", "*"))]
    for name in names:
        assert escape(name) in latex
    shown.run("window.copied = ''")
    shown.click("#copy-csv")
    rows = list(csv.DictReader(io.StringIO(shown.wait("window.copied"))))
    assert sorted(row["method"] for row in rows) == sorted([*names[:-1], "'=1+1"])
    if shutil.which("pdflatex"):
        document = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n%s\\end{document}"
        (tmp_path / "table.tex").write_text(document % latex)
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, done.stdout[-2000:]


def test_where_copying_is_forbidden_the_text_is_shown(open_page):
    shown = open_page("small")
    shown.run("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    shown.click("#copy-latex")
    assert shown.wait("document.querySelector('#by-hand[open] textarea').value").startswith("% needs")


def test_hostile_names_are_text(open_page):
    shown = open_page("hostile")
    for place in range(4):
        shown.click(ROWS, place)
        shown.run("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        shown.run("Plotly.Fx.hover('scatter', [{curveNumber: 1, pointNumber: 0}])")
    time.sleep(0.3)
    assert shown.run("return document.images.length + document.querySelectorAll('image').length") == 0
    assert shown.run("return document.querySelectorAll('script').length") == 3
    assert shown.texts("#details h3") == [HOSTILE]
    assert HOSTILE in shown.texts("#scatter .legendtext")
    assert any(HOSTILE in text for text in shown.texts("#scatter .hoverlayer text"))
    assert any("</script><script>alert(1)</script>" in text for text in shown.texts("#failures p"))
    assert "alert" not in json.dumps(shown.errors())


def test_dark_and_narrow(open_page, browser, tmp_path):
    shown = open_page("small")
    screen = {"width": 420, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    try:
        assert shown.run("return getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 29)"
        shown.wait("document.getElementById('scatter').layout.plot_bgcolor === '#14181d'")
        shown.wait("document.documentElement.scrollWidth <= 420")
        browser.save_screenshot(str(tmp_path / "dark_and_narrow.png"))
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_served_page_follows_its_sweep_and_tells_when_its_server_has_stopped(browser, tmp_path):
    with make_server([str(write_small(tmp_path))], 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        shown = Page(browser, f"http://127.0.0.1:{server.server_port}/")
        shown.click(ROWS, 1)
        write_run(tmp_path, make_values("svd", 128, metrics={"validation": {"accuracy": 0.88}}))
        shown.wait(f"document.querySelectorAll('{ROWS}').length === 4")
        assert len(shown.texts(f"{ROWS}[aria-selected=true]")) == 1
        server.shutdown()
    shown.wait("document.querySelector('#following.lost')")
    assert shown.texts("#following")[0].startswith("The server has stopped")
