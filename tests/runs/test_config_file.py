"""The configuration beside a record is the one that the run was done with."""

from __future__ import annotations

from pathlib import Path

import pytest

from embfact.config.compose import read_request
from embfact.config.run_config import RunConfig
from embfact.errors import UserError
from embfact.runs.config_file import FILE_NAME, read_config, write_config
from tests.helpers.places import CONF

COMMON = ["model=bert_scratch", "logger=none"]


def configured(*words: str) -> RunConfig:
    return read_request(CONF, [*COMMON, *words], multirun=False).configs[0]


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return configured()


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["factorization=none", "rank=null", "seed=7"],
        ["factorization=svd", "rank=null", "budget=0.1", "storage=int8", "quantization=aware"],
        ["factorization=kronecker_svd", "rank=8"],
        ["factorization=weighted_svd", "rank=8"],
        ["refactorize=every_n_steps", "refactorize.steps=5", "checkpoint=best", "trainer.patience=2"],
        ["optimizer.lr=1e-5", "optimizer.weight_decay=0", "checkpoint_every=0.5min", "trainer.threads=1"],
        ["checkpoint_every=200", "tags=['no','1e3','2020-01-01','wörter 🙂',' a: b # c ']"],
    ],
)
def test_what_is_written_is_read_again(words: list[str], tmp_path: Path) -> None:
    config = configured(*words)
    write_config(config, tmp_path)
    again = read_config(tmp_path)
    assert again == config
    assert again.plain() == config.plain()
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_a_later_configuration_takes_the_place_of_an_earlier_one(config: RunConfig, tmp_path: Path) -> None:
    write_config(config, tmp_path)
    later = config.model_copy(update={"tags": ["later"]})
    write_config(later, tmp_path)
    assert read_config(tmp_path) == later


def test_a_missing_file_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config.yaml; rerun the command"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"rank: [1, 2", "config.yaml cannot be read"),
        (b"rank: \xff", "config.yaml cannot be read"),
        (b"!!python/object/apply:os.system ['false']", "config.yaml cannot be read"),
        (b"", "is not a configuration"),
        (b"- rank\n- seed\n", "is not a configuration"),
        (b"12", "is not a configuration"),
        (b"{}", "is not valid in this version of embfact"),
    ],
)
def test_a_damaged_file_is_told_in_one_line(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_config(tmp_path)
    assert words in str(caught.value)
    assert str(tmp_path / FILE_NAME) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        read_config(tmp_path)


def test_a_configuration_cut_off_in_the_middle_is_refused(config: RunConfig, tmp_path: Path) -> None:
    """What is left is YAML more often than not."""
    write_config(config, tmp_path)
    content = (tmp_path / FILE_NAME).read_bytes()
    for length in range(0, len(content) - 1, 61):
        (tmp_path / FILE_NAME).write_bytes(content[:length])
        with pytest.raises(UserError):
            read_config(tmp_path)


def test_options_of_another_version_are_named(config: RunConfig, tmp_path: Path) -> None:
    write_config(config, tmp_path)
    path = tmp_path / FILE_NAME
    path.write_text(path.read_text().replace("\nseed: 0\n", "\nsead: 0\n"))
    with pytest.raises(UserError, match=r"config.yaml is not valid in this version of embfact: .*sead"):
        read_config(tmp_path)
