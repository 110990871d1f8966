"""A file of a release is found wherever pip would look, checked by its hash, and every failure is told in words."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from embfact.data import package_index
from embfact.data.package_index import Release, fetch
from embfact.data.pip_settings import PipSettings
from embfact.errors import DataError
from tests.helpers.sentence_index import Index, Reply, release_of, serving

CONTENT = b"the file of the release" * 1000
RELEASE = release_of(CONTENT)


@pytest.fixture
def index() -> Iterator[Index]:
    with serving() as index:
        yield index


def reason(settings: PipSettings, release: Release = RELEASE) -> str:
    with pytest.raises(DataError) as refused:
        fetch(release, settings)
    assert RELEASE.filename in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("link", ["../../files/vaderSentiment-0.5.zip", "/files/vaderSentiment-0.5.zip"])
def test_both_kinds_of_pages_lead_to_the_file(index: Index, as_json: bool, link: str) -> None:
    index.serve(CONTENT, as_json=as_json, link=link)
    assert fetch(RELEASE, PipSettings(indexes=(index.url,))) == CONTENT
    assert fetch(RELEASE, PipSettings(indexes=(f"{index.url}/",))) == CONTENT


def test_a_file_on_another_host_is_fetched_there_without_the_password_of_the_index(index: Index) -> None:
    with serving() as files:
        files.serve(CONTENT)
        index.serve(CONTENT, link=files.url.replace("/simple", "/files/vaderSentiment-0.5.zip"))
        secret = index.url.replace("//", "//me:pass%20word@")
        assert fetch(RELEASE, PipSettings(indexes=(secret,))) == CONTENT
        basic = f"Basic {base64.b64encode(b'me:pass word').decode()}"
        assert index.asked == [("/simple/vadersentiment/", basic)]
        assert files.asked == [("/files/vaderSentiment-0.5.zip", None)]


@pytest.mark.parametrize("absolute", [False, True])
def test_the_password_of_an_index_goes_with_its_own_links_and_into_no_message(index: Index, absolute: bool) -> None:
    root = index.url.removesuffix("/simple") if absolute else ""
    index.serve(CONTENT, link=f"{root}/files/vaderSentiment-0.5.zip")
    settings = PipSettings(indexes=(index.url.replace("//", "//me:secret@"),))
    assert fetch(RELEASE, settings) == CONTENT
    assert {sent for _, sent in index.asked} == {f"Basic {base64.b64encode(b'me:secret').decode()}"}
    index.replies.clear()
    assert "secret" not in reason(settings)


def test_folders_local_indexes_and_pages_of_links_are_read_without_a_network(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / RELEASE.filename).write_bytes(CONTENT)
    (tmp_path / "simple" / "vadersentiment").mkdir(parents=True)
    page = f'<a href="../../wheels/{RELEASE.filename}">{RELEASE.filename}</a>'
    (tmp_path / "simple" / "vadersentiment" / "index.html").write_text(page)
    (tmp_path / "links.html").write_text(f'<a href="wheels/{RELEASE.filename}">here</a>')
    for place in (str(tmp_path / "wheels"), (tmp_path / "wheels").as_uri(), (tmp_path / "links.html").as_uri()):
        assert fetch(RELEASE, PipSettings(find_links=(place,), indexes=())) == CONTENT, place
    for root in (str(tmp_path / "simple"), (tmp_path / "simple").as_uri()):
        assert fetch(RELEASE, PipSettings(indexes=(root,))) == CONTENT, root


def test_places_are_tried_in_their_order_until_one_has_the_right_file(index: Index, tmp_path: Path) -> None:
    (tmp_path / RELEASE.filename).write_bytes(b"another file of that name")
    index.serve(CONTENT)
    settings = PipSettings((str(tmp_path), "nowhere"), (f"{index.url}/empty", index.url, f"{index.url}/never"))
    assert fetch(RELEASE, settings) == CONTENT
    assert [path for path, _ in index.asked] == [
        "/simple/empty/vadersentiment/",
        PAGE,
        FILE,
    ]


PAGE, FILE, HTML, JSON = "/simple/vadersentiment/", "/files/vaderSentiment-0.5.zip", "text/html", "application/json"
FAULTS = {
    "no such project": (PAGE, Reply(status=404), "answers 404"),
    "an index that is out of order": (PAGE, Reply(status=503), "answers 503"),
    "a page of something else": (PAGE, Reply(b'<a href="http://[in">Sign in</a>', HTML), "does not list"),
    "bytes that are no page": (PAGE, Reply(bytes(range(256)), HTML), "does not list"),
    "markup that no parser takes": (PAGE, Reply(b"<p><![x", HTML), "does not list"),
    "JSON of something else": (PAGE, Reply(b'["a"]', JSON), "PEP 691"),
    "JSON that breaks off": (PAGE, Reply(b'{"files": [', JSON), "PEP 691"),
    "JSON without an end": (PAGE, Reply(b'{"files":' + b"[" * 10**5, JSON), "PEP 691"),
    "a page that breaks off": (PAGE, Reply(b"<html>", HTML, cut=True), "cannot be read"),
    "no file": (FILE, Reply(status=404), "answers 404"),
    "a file that breaks off": (FILE, Reply(CONTENT, cut=True), "cannot be read"),
    "another file": (FILE, Reply(b"other"), f"not {RELEASE.sha256[:8]}"),
}


@pytest.mark.parametrize("detail", FAULTS)
def test_what_goes_wrong_is_told_with_the_place(index: Index, detail: str) -> None:
    path, reply, told = FAULTS[detail]
    index.serve(CONTENT)
    index.replies[path] = reply
    message = reason(PipSettings(indexes=(index.url,)))
    assert index.url in message
    assert told in message


def test_an_index_that_is_down_or_has_no_address_is_told(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        down = f"http://127.0.0.1:{free.getsockname()[1]}/simple"
    places = (down, "http://[bad/simple", "gopher://old/simple", "http:///simple", str(tmp_path))
    message = reason(PipSettings(indexes=places))
    assert all(place in message for place in places)
    assert "PIP_NO_INDEX" in reason(PipSettings(indexes=()))


def test_an_endless_answer_does_not_fill_the_memory(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    index.serve(CONTENT)
    monkeypatch.setattr(package_index, "LARGEST", len(CONTENT) - 1)
    assert "more than" in reason(PipSettings(indexes=(index.url,)))


def test_a_proxy_is_asked_whether_pip_or_the_environment_names_it(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A proxy is asked for the whole URL; the host itself does not exist.
    index.serve(CONTENT, link="http://index.invalid/files/vaderSentiment-0.5.zip")
    index.replies = {f"http://index.invalid{path}": reply for path, reply in index.replies.items()}
    proxy = index.url.removesuffix("/simple")
    assert fetch(RELEASE, PipSettings(indexes=("http://index.invalid/simple",), proxy=proxy)) == CONTENT
    monkeypatch.setenv("http_proxy", proxy)
    assert fetch(RELEASE, PipSettings(indexes=("http://index.invalid/simple",))) == CONTENT
    assert len(index.asked) == 4
