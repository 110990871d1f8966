"""One line sends what waits to be sent, whatever its folders are called."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from embfact.results.wandb.access import SWEEP
from embfact.runs.status import Status, write_status
from embfact.sweep.report import sync_line


def offline(run: Path, attempt: str = "1", *, sent: bool = False) -> Path:
    folder = run / "wandb" / f"offline-run-{attempt}-abcd1234"
    folder.mkdir(parents=True)
    (folder / "run-abcd1234.wandb").write_bytes(b"")
    if sent:
        (folder / "run-abcd1234.wandb.synced").write_bytes(b"")
    return run


def meant(line: str, folder: Path) -> list[str]:
    """The folders that a shell hands to the command."""
    assert line.startswith("wandb sync ")
    words = line.removeprefix("wandb sync ")
    done = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {words}"], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", ["runs", "my runs", "it's $HOME", "star*", 'quo"te;&'])
def test_the_line_names_every_run_of_a_sweep(name: str, tmp_path: Path) -> None:
    places = [offline(tmp_path / name / f"svd-s{seed}") for seed in range(3)]
    line = sync_line(places)
    assert "\n" not in line
    assert meant(line, tmp_path) == [str(place / "wandb" / "offline-run-1-abcd1234") for place in places]


def test_one_run_is_named_alone_with_all_its_attempts(tmp_path: Path) -> None:
    run = offline(offline(tmp_path / "my runs" / "svd"), "2")
    offline(tmp_path / "my runs" / "other")
    assert meant(sync_line([run]), tmp_path) == [str(run / "wandb" / f"offline-run-{one}-abcd1234") for one in (1, 2)]


def test_sweeps_in_several_folders_are_one_line(tmp_path: Path) -> None:
    places = [offline(tmp_path / sweep / "svd") for sweep in ("one", "two words")]
    assert len(meant(sync_line(places), tmp_path)) == 2


def test_relative_paths_stay_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    offline(Path("outputs/sweep/a"))
    offline(Path("outputs/sweep/b"))
    line = sync_line([Path("outputs/sweep/a"), Path("outputs/sweep/b"), Path("outputs/sweep/planned")])
    assert line == "wandb sync outputs/sweep/*/wandb/offline-run-*"


def test_what_was_sent_is_not_offered_again(tmp_path: Path) -> None:
    sent = offline(tmp_path / "a", sent=True)
    online = tmp_path / "b" / "wandb" / "run-1-abcd1234"
    online.mkdir(parents=True)
    assert sync_line([sent, tmp_path / "b", tmp_path / "none"]) == ""
    again = offline(sent, "2")
    assert sync_line([again]) != ""


def test_the_table_of_a_sweep_is_sent_with_its_runs(tmp_path: Path) -> None:
    places = [offline(tmp_path / "runs" / f"svd-s{seed}") for seed in range(2)]
    offline(tmp_path / "runs")
    named = meant(sync_line(places), tmp_path)
    assert named[-1] == str(tmp_path / "runs" / "wandb" / "offline-run-1-abcd1234")
    assert len(named) == 3


def planned(run: Path, wandb_id: str) -> Path:
    """A run directory whose status knows the id of its W&B run."""
    run.mkdir(parents=True)
    write_status(Status(name=run.name, hash="0" * 64, state="finished", wandb_id=wandb_id), run)
    return run


def test_in_a_folder_of_all_only_what_belongs_to_the_sweep_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "all runs"
    monkeypatch.setenv("WANDB_DIR", str(home))
    ids = ("0a0a0a0a", "1b1b1b1b")
    places = [planned(tmp_path / "sweep" / one, one) for one in ids]
    assert sync_line(places) == ""
    ours = [home / "wandb" / f"offline-run-{number}-{one}" for number, one in enumerate(ids)]
    for folder in ours:
        folder.mkdir(parents=True)
        (folder / f"run-{folder.name[-8:]}.wandb").touch()
    assert sync_line(places) == f"wandb sync '{home}'/wandb/offline-run-*"
    offline(home)
    assert meant(sync_line(places), tmp_path) == [str(folder) for folder in ours]
    assert meant(sync_line(places[:1]), tmp_path) == [str(ours[0])]
    assert not (places[0].parent / SWEEP).exists()
    table = home / "wandb" / "offline-run-9-9e9e9e9e"
    table.mkdir()
    (table / "run-9e9e9e9e.wandb").touch()
    assert str(table) not in meant(sync_line(places), tmp_path)
    (places[0].parent / SWEEP).write_text('{"id": "9e9e9e9e"}')
    assert meant(sync_line(places), tmp_path) == [str(folder) for folder in [*ours, table]]
    (table / "run-9e9e9e9e.wandb.synced").touch()
    (ours[0] / "run-0a0a0a0a.wandb.synced").touch()
    assert meant(sync_line(places), tmp_path) == [str(ours[1])]


def test_runs_of_before_the_folder_was_named_are_sent_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = offline(planned(tmp_path / "old", "2c2c2c2c"))
    new = planned(tmp_path / "new", "3d3d3d3d")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "home"))
    folder = tmp_path / "home" / "wandb" / "offline-run-1-3d3d3d3d"
    folder.mkdir(parents=True)
    (folder / "run-3d3d3d3d.wandb").touch()
    assert meant(sync_line([old, new]), tmp_path) == [str(old / "wandb" / "offline-run-1-abcd1234"), str(folder)]
