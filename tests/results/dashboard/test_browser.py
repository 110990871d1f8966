"""The page in a real browser: it opens fast, everything on it answers, and hostile names do nothing."""

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
from tests.helpers.browsers import fits, screen
from tests.helpers.records import make_values
from tests.results.dashboard.browser import ROWS, Page
from tests.results.dashboard.made_up import HOSTILE, write_run, write_small

pytestmark = pytest.mark.slow
LIMIT = 2000  # milliseconds until the table and the plot are drawn: what users are promised


@pytest.mark.parametrize("name", ["small", "large"])
@pytest.mark.parametrize("mode", ["means", "runs"])
def test_it_opens_in_two_seconds(open_page, name, mode):
    opened = [open_page(name).opened for _ in range(3)]
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
    assert [name for name in names if "dense" in name] == ["dense 54.2 (lr=1e-05)", "dense 69.8 (lr=0.0001)"]
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
    assert r"\begin{tabular}{lrrlrrrrrrrrl}" in latex
    assert r"svd & 64 & 0 & finished & 85.0 & -5.00 & 94.4 & 1.98M (16.9\%) & 13.0M (57.1\%) &" in latex
    assert latex.count("\n") == 15
    shown.run("window.copied = ''")
    shown.click(ROWS, 1)
    shown.click("#copy-csv")
    head, line = shown.wait("window.copied").splitlines()
    row = dict(zip(head.split(","), line.split(","), strict=True))
    assert head.startswith("method,rank,seed,status,accuracy,")
    expected = {"rank": "64", "accuracy": "0.85", "accuracy - dense difference": "-0.05", "accuracy - dense low": ""}
    assert expected.items() <= row.items()
    assert row["share of dense"] == "0.944444"
    assert line.endswith(f",1977984,12967984,7911936,51871936,50,{row['run']}")


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
    shown.click(ROWS, 1)
    key = f"config.{HOSTILE}.{HOSTILE}"
    for menu in ("#color", "#group"):
        shown.choose(menu, key)
    shown.click("#columns input:last-of-type", -1 % len(shown.texts("#columns input")))
    for plot in ("scatter", "parallel"):
        shown.run(f"Plotly.Fx.hover('{plot}', [{{curveNumber: 1, pointNumber: 0}}])")
    time.sleep(0.3)
    assert any(HOSTILE in text for text in shown.texts("#table tr.group"))
    assert any(HOSTILE in text for text in shown.texts("#table thead th"))
    assert shown.run("return document.images.length + document.querySelectorAll('image').length") == 0
    assert shown.run("return document.querySelectorAll('script').length") == 3
    assert shown.texts("#details h3") == [HOSTILE]
    assert any("<script>alert(1)" in text for text in shown.texts("#scatter-legend li"))
    assert any(HOSTILE in text for text in shown.texts("#scatter .hoverlayer text"))
    assert any("</script><script>alert(1)</script>" in text for text in shown.texts("#failures p"))
    assert "alert" not in json.dumps(shown.errors())


@pytest.mark.parametrize("name", ["small", "medium", "large"])
@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (400, "dark"), (1400, "dark")])
def test_dark_and_narrow(open_page, browser, tmp_path, name, width, scheme):
    shown = open_page(name)
    with screen(browser, width, scheme):
        paper = {"dark": "#14181d", "light": "#ffffff"}[scheme]
        shown.wait(f"document.getElementById('scatter').layout.plot_bgcolor === '{paper}'")
        shown.wait(f"document.documentElement.scrollWidth <= {width}")
        assert fits(browser)
        browser.save_screenshot(str(tmp_path / "screen.png"))


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
