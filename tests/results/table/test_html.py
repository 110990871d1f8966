"""One page that needs nothing else, in which every name is text."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embfact.results.collect import Collected
from embfact.results.result_table import build_table
from embfact.results.table.render import render
from embfact.results.table.request import TableRequest
from embfact.runs.record import RunRecord
from tests.helpers.browsers import browser, fits, screen
from tests.helpers.records import make_values

__all__ = ["browser"]


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.rows = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append(0)
        if tag in ("td", "th"):
            self.rows[-1] += int(dict(attributes).get("colspan", 1))

    def handle_data(self, data):
        self.words.append(data)


def page(request=None, **values):
    runs = [make_values("none", None, **values), *(make_values("svd", 64, seed, **values) for seed in range(2))]
    table = build_table(Collected(tuple(map(RunRecord.model_validate, runs))))
    return Page(render(table, "html", request or TableRequest()))


@given(st.text(min_size=1).filter(str.strip))
def test_a_name_from_a_configuration_is_text(name):
    plain, found = page(data="sst2"), page(data=name)
    assert found.tags == plain.tags


def test_a_script_in_a_name_or_a_caption_is_text():
    evil = "<img src=x onerror=alert(1)>"
    found = page(TableRequest(rows=("method",), caption=evil, label='"><script>'), data=evil)
    assert not {"img", "script"} & set(found.tags)
    assert evil in found.words


def test_every_line_fills_every_column():
    found = page(
        TableRequest(rows=("method", "rank"), columns=("params", "bytes", "model_params", "dataset", "metric"))
    )
    assert len(set(found.rows)) == 1
    assert len(found.rows) == 2 + 2


def test_it_loads_nothing():
    assert not {"link", "script", "img", "iframe"} & set(page().tags)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (1400, "dark"), (400, "light"), (400, "dark")])
def test_it_is_legible_in_the_dark_and_on_a_phone(browser, tmp_path, width, scheme):
    runs = [
        make_values("none", None),
        *(make_values("svd", rank, data=data) for rank in (8, 64) for data in ("a", "b")),
    ]
    table = build_table(Collected(tuple(map(RunRecord.model_validate, runs))))
    (tmp_path / "table.html").write_text(render(table, "html", TableRequest()))
    with screen(browser, width, scheme):
        browser.get((tmp_path / "table.html").as_uri())
        assert fits(browser)
        dark = browser.execute_script("return getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
