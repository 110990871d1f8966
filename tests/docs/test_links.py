"""Every link of the documentation leads to a file that exists, and to a heading that it has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("notebooks/*.ipynb")]
LINKS = [(page, link) for page in PAGES for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))]


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("page", "link"), LINKS, ids=lambda one: str(one).removeprefix(f"{ROOT}/"))
def test_it_leads_somewhere(page: Path, link: str) -> None:
    if re.match(r"https?:", link):
        return
    file, _, anchor = link.partition("#")
    target = (page.parent / file).resolve() if file else page
    assert target.exists()
    assert not anchor or anchor in anchors(target)


def test_every_page_can_be_reached_from_the_readme() -> None:
    found = {(page.parent / link.partition("#")[0]).resolve() for page, link in LINKS if page.name == "README.md"}
    assert set(ROOT.glob("docs/*.md")) <= found


def test_every_file_that_a_page_names_exists() -> None:
    for page in ROOT.glob("docs/**/*.md"):
        for name in re.findall(r"`((?:[\w-]+/)+[\w-]+\.py)`", page.read_text(encoding="utf-8")):
            places = (ROOT / name, ROOT / "src/embfact" / name)
            assert "NAME" in name or any(place.is_file() for place in places), (page, name)
