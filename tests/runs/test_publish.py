"""Runs at a URL: there whole or not at all, and found by another machine."""

from __future__ import annotations

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from embfact.results.collect import find_records
from embfact.runs.publish import publish, published_records
from embfact.runs.record import read, write
from embfact.system.remote import RemoteError, url_error


class Flaky(MemoryFileSystem):
    """A store whose connection breaks after some uploads, and that may be closed to this user."""

    protocol = "flaky"
    store: dict = {}  # noqa: RUF012 (shared, as the store of memory:// is)
    pseudo_dirs: list = [""]  # noqa: RUF012
    uploads_left = 10**6
    closed = False

    def put_file(self, *args, **kwargs):
        if Flaky.closed:
            raise PermissionError("Forbidden")
        Flaky.uploads_left -= 1
        if Flaky.uploads_left < 0:
            raise TimeoutError("the line is dead\nand more")
        return super().put_file(*args, **kwargs)


fsspec.register_implementation("flaky", Flaky, clobber=True)


@pytest.fixture(autouse=True)
def _fresh_stores():
    for kind in (MemoryFileSystem, Flaky):
        kind.store.clear()
        kind.pseudo_dirs[:] = [""]
    Flaky.uploads_left, Flaky.closed = 10**6, False


@pytest.fixture(params=["memory://bucket/sweep", "file://{tmp}/shared/sweep"])
def url(request, tmp_path):
    return request.param.format(tmp=tmp_path)


@pytest.fixture
def record(make):
    return make()


@pytest.fixture
def run(record, tmp_path):
    """The directory of a finished run, with all that may be in one."""
    directory = tmp_path / "outputs" / record.name
    write(record, directory)
    for name in ("checkpoint", "resume", "wandb", ".checkpoint-abc"):
        (directory / name).mkdir()
        (directory / name / "model.safetensors").write_bytes(bytes(1000))
    for name in ("log.txt", "config.yaml", "predictions.parquet", "status.json", "run.lock", "predictions.tmp"):
        (directory / name).write_text(name)
    return directory


def files_at(url):
    system, root = fsspec.core.url_to_fs(url)
    return sorted(path.removeprefix(root).lstrip("/") for path in system.find(root))


def test_a_run_is_copied_without_what_belongs_to_its_process(run, record, url):
    publish(run, url, record.name)
    kept = ["checkpoint/model.safetensors", "config.yaml", "log.txt", "predictions.parquet", "record.json"]
    assert files_at(url) == [f"{record.name}/{name}" for name in kept]
    assert published_records(url, {record.name: record.hash}) == {record.name: read(run)}


def test_what_is_there_is_not_copied_again(run, record):
    publish(run, "flaky://bucket", record.name)
    Flaky.uploads_left = 0
    publish(run, "flaky://bucket", record.name)
    assert read(run) == published_records("flaky://bucket", {record.name: record.hash})[record.name]


def test_a_run_done_again_takes_the_place_of_the_one_before(run, record, url):
    publish(run, url, record.name)
    again = record.model_copy(update={"tags": ["again"]})
    write(again, run)
    publish(run, url, record.name)
    assert published_records(url, {record.name: record.hash})[record.name].tags == ["again"]


def test_an_upload_that_breaks_off_leaves_no_run_and_the_next_completes_it(run, record):
    url = "flaky://bucket/sweep"
    Flaky.uploads_left = 2
    with pytest.raises(RemoteError, match=r"flaky://bucket/sweep cannot be used \(TimeoutError: the line is dead\)"):
        publish(run, url, record.name)
    assert len(files_at(url)) == 2
    assert published_records(url, {record.name: record.hash}) == {}
    assert find_records([url]).records == ()
    Flaky.uploads_left = 10**6
    publish(run, url, record.name)
    assert len(files_at(url)) == 5
    assert len(find_records([url]).records) == 1


def test_a_result_that_is_being_replaced_counts_for_nothing(run, record):
    publish(run, "flaky://bucket", record.name)
    write(record.model_copy(update={"tags": ["again"]}), run)
    Flaky.uploads_left = 1
    with pytest.raises(RemoteError):
        publish(run, "flaky://bucket", record.name)
    assert published_records("flaky://bucket", {record.name: record.hash}) == {}


def test_a_closed_store_is_told_in_words(run, record):
    Flaky.closed = True
    with pytest.raises(RemoteError, match=r"access denied .*Forbidden.*credentials"):
        publish(run, "flaky://bucket", record.name)


def test_only_whole_finished_runs_of_the_same_hash_are_found(make, url, tmp_path):
    runs = {"finished": make(seed=0), "failed": make(seed=1, error="out of memory"), "half": make(seed=2)}
    for name, record in runs.items():
        write(record, tmp_path / name)
        publish(tmp_path / name, url, name)
    system, root = fsspec.core.url_to_fs(url)
    system.pipe_file(f"{root}/half/record.json", b'{"schema_version": 1,')
    hashes = {name: record.hash for name, record in runs.items()}
    assert list(published_records(url, {**hashes, "elsewhere": "ab" * 32})) == ["finished"]
    assert published_records(url, {"finished": "ab" * 32}) == {}


def test_nothing_is_published_where_nothing_is(url):
    assert published_records(url, {"run": "ab" * 32}) == {}
    assert find_records([url]).records == ()


def test_records_are_collected_from_urls_and_directories_together(make, url, tmp_path):
    here, there, broken = make(seed=0), make(seed=1), make(seed=2)
    write(here, tmp_path / "here" / here.name)
    for record in (there, broken):
        write(record, tmp_path / "away" / record.name)
        publish(tmp_path / "away" / record.name, url, f"deep/down/{record.name}")
    system, root = fsspec.core.url_to_fs(url)
    system.pipe_file(f"{root}/deep/down/{broken.name}/record.json", b"{")
    found = find_records([tmp_path / "here", url])
    assert sorted(record.seed for record in found.records) == [0, 1]
    (problem,) = found.problems
    assert broken.name in problem
    assert "not JSON" in problem


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("outputs/shared", "output_url must be a URL (found outputs/shared); for a folder use file:///"),
        ("nosuch://bucket", "unknown protocol 'nosuch'; use file://, s3://"),
        ("dropbox://x", "needs a package that is not installed; pip install dropboxdrivefs"),
    ],
)
def test_a_url_that_cannot_work_is_told_before_anything_is_started(url, words):
    assert words in str(url_error("output_url", url))


def test_a_url_that_works_has_no_fault(url):
    assert url_error("output_url", url) is None
