"""The ways to call a script, and pages in a browser.

Screenshots are left in pytest's temporary folder, to be looked at.
"""

from __future__ import annotations

import pytest

from embfact.results.dashboard.html import page
from embfact.results.dashboard.payload import payload
from embfact.results.dashboard.sweep import read_sweep
from tests.helpers.browsers import browser
from tests.helpers.commands import modules_after, refused, run
from tests.results.dashboard import made_up
from tests.results.dashboard.browser import Page

__all__ = ["browser", "modules_after", "refused", "run"]


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Pages of made-up sweeps, as files."""
    folder, made = tmp_path_factory.mktemp("pages"), {}

    def write(name):
        if name not in made:
            html = page(payload(read_sweep([str(getattr(made_up, f"write_{name}")(folder / name))])))
            made[name] = folder / f"{name}.html"
            made[name].write_text(html)
        return made[name].as_uri()

    return write


@pytest.fixture
def open_page(browser, written, tmp_path):
    """Opens a made-up sweep; afterwards there is a screenshot, and nothing on the console."""
    pages = []

    def open_it(name, address=""):
        browser.get_log("browser")
        browser.get("about:blank")  # another address of the same page would not load it again
        pages.append(Page(browser, written(name) + address))
        return pages[-1]

    yield open_it
    browser.save_screenshot(str(tmp_path / "page.png"))
    assert (tmp_path / "page.png").stat().st_size > 10_000
    assert pages[-1].errors() == []
