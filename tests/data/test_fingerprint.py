"""A data set is found in the stated order, and its fingerprint changes exactly when its bytes do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from embfact.data.fingerprint import fingerprint, locate
from embfact.errors import DataError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB = {"source": "hub", "hub": "nyu-mll/glue", "hub_config": "sst2", "mirror": "glue/sst2"}


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "glue" / "sst2"
    folder.mkdir(parents=True)
    for split in ("train", "validation"):
        (folder / f"{split}.parquet").write_bytes(split.encode())
    return tmp_path


def test_the_module_imports_nothing_heavy() -> None:
    code = (
        "import sys, embfact.data.fingerprint\n"
        "print({'torch', 'pyarrow', 'datasets', 'transformers', 'huggingface_hub', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_mirror_goes_before_the_hub(config: Any, mirror: Path) -> None:
    origin = locate(config(**HUB), str(mirror))
    assert origin.kind == "mirror"
    assert origin.files == {split: mirror / f"glue/sst2/{split}.parquet" for split in ("train", "validation")}
    assert str(mirror) not in origin.words


@pytest.mark.parametrize("missing", ["train", "validation"])
def test_a_mirror_that_lacks_a_split_is_not_used(config: Any, mirror: Path, missing: str) -> None:
    (mirror / f"glue/sst2/{missing}.parquet").unlink()
    origin = locate(config(**HUB, revision=COMMIT), str(mirror))
    assert (origin.kind, origin.commit) == ("hub", COMMIT)


def test_the_fingerprint_follows_the_bytes_not_the_place(config: Any, files: Any, tmp_path: Path) -> None:
    data = files()
    first = fingerprint(data, None)
    assert len(first) == 64
    moved = tmp_path / "moved.csv"
    moved.write_bytes(Path(data.train_file).read_bytes())
    assert fingerprint(data.model_copy(update={"train_file": str(moved)}), None) == first
    moved.write_bytes(moved.read_bytes() + b"one more,good\n")
    assert fingerprint(data.model_copy(update={"train_file": str(moved)}), None) != first


def test_swapped_files_have_another_fingerprint(files: Any) -> None:
    data = files(train="text,label\na,0\nb,1\n")
    swapped = {"train_file": data.validation_file, "validation_file": data.train_file}
    assert fingerprint(data, None) != fingerprint(data.model_copy(update=swapped), None)


def test_the_hub_fingerprint_follows_the_commit(config: Any) -> None:
    marks = {fingerprint(config(**HUB, revision=digit * 40), None) for digit in "ab"}
    assert len(marks) == 2


def test_the_commit_is_asked_of_the_hub_or_its_cache(config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def download(repository: str, name: str, **options: Any) -> str:
        assert not options["local_files_only"]
        asked.append((repository, options["repo_type"], options["revision"]))
        return f"/cache/datasets--nyu-mll--glue/snapshots/{COMMIT}/{name}"

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda *_, **__: None)
    assert locate(config(**HUB), None).commit == COMMIT
    assert locate(config(**HUB, revision="v1"), None).commit == COMMIT
    assert asked == [("nyu-mll/glue", "dataset", None), ("nyu-mll/glue", "dataset", "v1")]


def test_offline_the_commit_is_read_from_the_hubs_cache(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "datasets--nyu-mll--glue"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    (folder / "snapshots" / COMMIT).mkdir(parents=True)
    (folder / "snapshots" / COMMIT / "README.md").write_text("card")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert locate(config(**HUB), None).commit == COMMIT


def test_without_mirror_hub_and_cache_the_remedy_is_named(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"set EMBFACT_DATA_DIR to a folder with glue/sst2/train.parquet") as raised:
        fingerprint(config(**HUB), None)
    assert "\n" not in str(raised.value)


def test_without_a_network_the_cache_is_asked_at_once(config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoNetwork(Exception):
        """Like the HTTP library's errors: no OSError."""

    def fail(*_: Any, **__: Any) -> None:
        raise NoNetwork

    def download(repository: str, name: str, *, local_files_only: bool, **_: Any) -> str:
        assert local_files_only
        return f"/cache/snapshots/{COMMIT}/{name}"

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", fail)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert locate(config(**HUB), None).commit == COMMIT


def test_a_file_that_is_not_there_is_named_with_its_option(files: Any) -> None:
    data = files().model_copy(update={"validation_file": "no/such.csv"})
    with pytest.raises(DataError, match=r"data.validation_file: there is no file no/such.csv"):
        locate(data, None)


def test_files_have_a_train_and_a_validation_split_only(files: Any) -> None:
    with pytest.raises(DataError, match="no split 'test'; use one of: train, validation"):
        locate(files(report_splits=["test"]), None)


def test_vader_without_its_package_names_the_command(config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install vaderSentiment"):
        locate(config(source="vader"), None)
