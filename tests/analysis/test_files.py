"""An analysis as files: one page that needs nothing else, all figures as JSON, whole or not at all."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from unittest.mock import Mock

import matplotlib.pyplot as plt
import pytest

from embfact.analysis import files
from embfact.analysis.analyse import Analysis
from embfact.analysis.files import write_analysis
from embfact.analysis.summary import figure, markdown
from tests.helpers.browsers import browser, fits, screen

__all__ = ["browser"]


class Reader(HTMLParser):
    """Collects the elements of a page, their attributes, and its words."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [str(value) for name, value in attrs if name in ("src", "href", "xlink:href", "onerror")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def folder(analysis: Analysis, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("written") / "analysis"
    write_analysis(analysis, output)
    return output


@pytest.fixture(scope="module")
def reader(folder: Path) -> Reader:
    found = Reader()
    found.feed((folder / "analysis.html").read_text(encoding="utf-8"))
    return found


def test_every_plot_comes_in_three_formats_and_stands_on_the_page(folder: Path, reader: Reader) -> None:
    names = {"spectrum", "spectra", "error", "neighbours", "plane", "anisotropy", "texts"}
    plots = {f"{name}{ending}" for name in names for ending in (".svg", ".png", ".pdf")}
    assert {path.name for path in folder.iterdir()} == {*plots, "analysis.html", "analysis.json", "analysis.md"}
    assert reader.tags.count("svg") == len(names)
    assert not plt.get_fignums()


def test_the_page_fetches_nothing_and_runs_nothing(reader: Reader) -> None:
    assert not {"script", "img", "link", "iframe", "object"} & set(reader.tags)
    assert all(link.startswith("#") for link in reader.links)


def test_names_are_shown_as_they_are_and_never_become_elements(reader: Reader) -> None:
    for name in ("<b>made up</b>", "<img src=x onerror=alert(1)>", "kronecker <i>failed</i>"):
        assert name in reader.text
    assert not {"b", "i"} & set(reader.tags)


def test_json_holds_every_figure_unrounded(folder: Path, analysis: Analysis) -> None:
    document = json.loads((folder / "analysis.json").read_text(encoding="utf-8"))
    for table, found in zip(analysis.tables, document["tables"], strict=True):
        assert found["name"] == table.name
        assert tuple(found["spectrum"]["values"]) == table.spectrum.values
        assert found["error"] == table.error
        assert found["plane"] == {word: list(place) for word, place in table.plane.items()}
        assert found["texts"]["token mean"]["clusters"]["ari"] == table.texts["token mean"].clusters.ari


def test_the_same_figures_give_the_same_bytes(folder: Path, analysis: Analysis, tmp_path: Path) -> None:
    write_analysis(analysis, tmp_path / "again")
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_a_dense_table_alone_and_targets_that_are_numbers(analysis: Analysis, tmp_path: Path) -> None:
    dense = analysis.tables[0]
    texts = {kind: replace(found, clusters=None) for kind, found in dense.texts.items()}
    alone = replace(analysis, tables=(replace(dense, texts=texts),), classes=None, problems=())
    write_analysis(alone, tmp_path / "alone")
    assert {path.stem for path in (tmp_path / "alone").glob("*.svg")} == {"spectrum", "plane", "anisotropy"}
    assert "their labels are numbers" in markdown(alone)


def test_tables_of_text_are_aligned_and_rounded_to_three_decimals(analysis: Analysis) -> None:
    lines = [line for line in markdown(analysis).splitlines() if line.startswith("| dense")]
    assert re.search(r"\| 0\.000 \|", lines[0])
    assert figure(None) == "\u2013"
    assert (figure(-0.0001), figure(0.12345), figure(-0.02)) == ("0.000", "0.123", "-0.020")


def test_an_older_analysis_is_replaced_and_kept_if_the_new_one_fails(
    analysis: Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "analysis.json").write_text("old")
    monkeypatch.setattr(files, "plots", lambda _: {})
    with monkeypatch.context() as patch:
        patch.setattr(files, "page", Mock(side_effect=OSError("no space")))
        with pytest.raises(OSError, match="no space"):
            write_analysis(analysis, output)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "analysis.json"]
    write_analysis(analysis, output)
    assert (output / "analysis.html").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (1400, "dark"), (400, "light"), (400, "dark")])
def test_the_page_is_legible_in_the_dark_and_on_a_phone(browser, folder: Path, width: int, scheme: str) -> None:
    with screen(browser, width, scheme):
        browser.get((folder / "analysis.html").as_uri())
        assert fits(browser)
        dark = browser.execute_script("return getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
