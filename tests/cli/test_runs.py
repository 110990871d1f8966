"""scripts/runs.py: what it lists, does again and removes, and what it refuses."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
import torch

from embfact.cli.train import main as train
from embfact.runs.identity import _fingerprint
from embfact.runs.survey import look
from tests.helpers.commands import TINY, environment
from tests.helpers.places import CONF, ROOT
from tests.helpers.run_directories import held_elsewhere, write_record, write_state

NAME = "sst2-minilm-svd-r64-s{}-0123abcd"


@pytest.fixture
def sweep(tmp_path):
    """Five runs, one of each kind that ends."""
    folder = tmp_path / "sweep"
    write_record(folder / NAME.format(0), metrics={"validation": {"accuracy": 0.875}})
    write_record(folder / NAME.format(1), "failed", "CUDA is\n  out of memory", seed=1)
    write_record(folder / NAME.format(2), "diverged", "the loss is nan at step 7", seed=2)
    old = datetime.now(UTC) - timedelta(days=8)
    interrupted = {"phase": "training", "step": 120, "steps": 400, "seconds": 720, "message": "interrupted by SIGTERM"}
    write_state(folder / NAME.format(3), "interrupted", updated=old, **interrupted)
    write_state(folder / NAME.format(4), "pending", attempt=0)
    return folder


def place(sweep, seed):
    return sweep / NAME.format(seed)


class TestList:
    def test_every_run_has_a_line_and_every_status_a_count(self, run, sweep):
        done = run("runs.py", "list", sweep)
        head, *lines, last = done.out.splitlines()
        assert (done.code, done.err) == (0, "")
        assert head.split() == ["status", "name", "age", "duration", "metric", "message"]
        assert last == "5 runs: 1 pending, 1 finished, 1 failed, 1 diverged, 1 interrupted"
        text = "\n".join(lines)
        assert "accuracy 87.5" in text
        assert "CUDA is out of memory" in text
        assert re.search(r"8 days ago +12 min ", text)
        assert "interrupted by SIGTERM (training, step 120 of 400)" in text
        assert len({line.index("sst2") for line in lines}) == 1

    def test_chosen_ones_alone(self, run, sweep):
        lines = run("runs.py", "list", sweep, "--status", "failed,interrupted").out.splitlines()
        assert [line.split()[0] for line in lines[1:-1]] == ["failed", "interrupted"]
        assert lines[-1].startswith("2 of 5 runs: ")
        assert run("runs.py", "list", sweep, "--status", "running").out.splitlines()[0].startswith("0 of 5 runs")

    def test_the_order_can_be_chosen(self, run, sweep):
        def order(by):
            return [line.split()[0] for line in run("runs.py", "list", sweep, "--sort", by).out.splitlines()[1:-1]]

        assert order("age")[0] == "pending"
        assert order("duration")[0] == "interrupted"
        assert order("name") == ["finished", "failed", "diverged", "interrupted", "pending"]

    def test_json_holds_all_that_is_known(self, run, sweep):
        runs = json.loads(run("runs.py", "list", sweep, "--json").out)
        found = {entry["state"]: entry for entry in runs}
        assert found["finished"]["value"] == 87.5
        assert found["interrupted"]["directory"] == str(place(sweep, 3))
        assert found["interrupted"]["age"] == pytest.approx(8 * 86400, rel=0.01)
        assert found["failed"]["message"] == "CUDA is\n  out of memory"

    def test_lines_fit_the_terminal(self, run, sweep, monkeypatch):
        write_record(place(sweep, 5), "failed", "very " * 100)
        assert "very " * 99 in run("runs.py", "list", sweep).out
        monkeypatch.setenv("COLUMNS", "120")
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
        lines = run("runs.py", "list", sweep).out.splitlines()
        assert max(map(len, lines)) <= 120
        assert "very…" in "\n".join(lines)

    def test_a_closed_pipe_is_no_error(self, sweep):
        for seed in range(6, 400):
            write_state(place(sweep, seed), "pending")
        words = f"{sys.executable} {ROOT / 'scripts' / 'runs.py'} list {sweep} | head -1"
        done = subprocess.run(words, shell=True, capture_output=True, text=True, env=environment(), check=False)
        assert (done.returncode, done.stderr, done.stdout.split()[0]) == (0, "", "status")

    def test_an_empty_folder_has_no_runs(self, run, tmp_path):
        assert run("runs.py", "list", tmp_path).out == "0 runs\n"


class TestShow:
    def test_a_finished_run(self, run, sweep):
        text = run("runs.py", "show", place(sweep, 0)).out
        assert "validation: accuracy 87.5" in text
        assert "embedding: 1.98M (16.9%) parameters, 7.91MB (16.9%) of dense" in text
        assert f"python scripts/table.py {place(sweep, 0)}" in text

    def test_a_failed_run_with_the_end_of_its_traceback(self, run, sweep):
        entry = "2026-01-02 03:04:05,678 ERROR embfact.training.run: the run failed:\n"
        other = "Traceback (most recent call last):\n  an older one\nValueError: older\n"
        frames = "".join(f'  File "a.py", line {number}, in f\n' for number in range(50))
        last = f"Traceback (most recent call last):\n{frames}RuntimeError: out of memory\n"
        after = "2026-01-02 03:04:06,000 INFO embfact: closed\n"
        (place(sweep, 1) / "log.txt").write_text(entry + other + entry + last + after)
        text = run("runs.py", "show", place(sweep, 1)).out
        assert "RuntimeError: out of memory" in text
        assert "line 49" in text
        assert "line 3," not in text
        assert "closed" not in text
        assert "older" not in text
        assert f"python scripts/runs.py retry {place(sweep, 1)}\n" in text

    def test_a_run_that_is_being_done(self, run, sweep):
        write_state(place(sweep, 3), "running", phase="training", step=5, steps=9)
        with held_elsewhere(place(sweep, 3) / "run.lock") as process:
            text = run("runs.py", "show", place(sweep, 3)).out
        assert f"{process.pid} on" in text
        assert "training, step 5 of 9" in text
        assert "wait for it" in text

    def test_what_is_on_disk_and_how_to_go_on(self, run, sweep):
        (place(sweep, 3) / "resume").mkdir()
        (place(sweep, 3) / "resume" / "a.ckpt").write_bytes(bytes(2_000_000))
        text = run("runs.py", "show", place(sweep, 3)).out
        assert "resume/ 2.00MB" in text
        assert f"python scripts/runs.py retry {place(sweep, 3)} --status interrupted" in text


class TestRetry:
    """What is chosen, with a stand-in for the engine; `test_runs_are_done_again` has the real one."""

    @pytest.fixture
    def conducted(self):
        with mock.patch("embfact.cli.train.run_request", return_value=0) as conduct:
            yield conduct

    @pytest.fixture
    def planned(self, tmp_path):
        """Real runs that are planned and not done, by seed."""
        out = tmp_path / "outputs"
        with mock.patch("embfact.cli.train.launch", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
            train(CONF, [*TINY, "data=vader", "debug=fast", f"output_dir={out}", "seed=0,1,2", "-m"])
        return {
            json.loads(path.read_text())["name"].split("-")[-2]: path.parent for path in out.glob("*-svd-*/status.json")
        }

    def end(self, directory, state, **changes):
        status = json.loads((directory / "status.json").read_text())
        (directory / "status.json").write_text(json.dumps({**status, "state": state, "attempt": 1, **changes}))
        (directory / "resume").mkdir()
        return directory

    def test_failed_and_diverged_ones_by_themselves(self, run, planned, conducted):
        self.end(planned["s0"], "failed")
        diverged = self.end(planned["s1"], "diverged")
        done = run("runs.py", "retry", planned["s0"].parent)
        (request, _), _ = conducted.call_args
        assert done.code == 0
        assert sorted(config.seed for config in request.configs) == [0, 1]
        assert request.multirun
        # The baseline of the sweep is a run of its own, and is not asked for here.
        assert not any(config.baseline or config.force for config in request.configs)
        assert (planned["s0"] / "resume").is_dir()
        assert not (diverged / "resume").exists()
        assert look(diverged).state == "pending"

    def test_others_if_they_are_named(self, run, planned, conducted):
        self.end(planned["s2"], "interrupted")
        assert "nothing to do: no run is failed or diverged" in run("runs.py", "retry", planned["s2"]).out
        assert not conducted.called
        done = run("runs.py", "retry", planned["s2"], "--status", "interrupted")
        assert "resumes from its checkpoint" in done.out
        assert [config.seed for config in conducted.call_args.args[0].configs] == [2]

    def test_a_plan_changes_nothing(self, run, planned, conducted, files_below):
        self.end(planned["s1"], "diverged")
        before = files_below(planned["s1"].parent)
        done = run("runs.py", "retry", planned["s1"].parent, "--plan")
        assert (done.code, conducted.called) == (0, False)
        assert "run from scratch" in done.out
        assert files_below(planned["s1"].parent) == before

    def test_runs_are_done_where_they_lie_now(self, run, planned, conducted, tmp_path, monkeypatch):
        self.end(planned["s0"], "failed")
        planned["s0"].parent.rename(tmp_path / "moved")
        monkeypatch.chdir(tmp_path / "moved" / planned["s0"].name)
        run("runs.py", "retry", ".")
        (config,) = conducted.call_args.args[0].configs
        assert config.output_dir == str(tmp_path / "moved")

    def test_a_run_that_is_another_now_is_told(self, run, planned, conducted):
        failed = self.end(planned["s0"], "failed")
        config = failed / "config.yaml"
        config.write_text(config.read_text().replace("max_steps: 2", "max_steps: 3"))
        done = run("runs.py", "retry", failed, "--plan")
        assert "has changed and is now" in done.out
        assert "trainer.max_steps 2 -> 3" in done.out

    def test_a_configuration_that_is_not_valid_any_more_is_left_out(self, run, planned, conducted):
        self.end(planned["s1"], "failed")
        failed = self.end(planned["s0"], "failed")
        config = failed / "config.yaml"
        config.write_text(config.read_text().replace("seed: 0", "sead: 0"))
        done = run("runs.py", "retry", failed.parent)
        assert done.code == 1
        assert "cannot be retried" in done.out
        assert "sead is not an option" in done.out
        assert [config.seed for config in conducted.call_args.args[0].configs] == [1]

    @pytest.mark.skipif(torch.cuda.is_available() or sys.platform == "darwin", reason="there may be a GPU here")
    def test_a_run_of_a_machine_with_a_gpu_is_refused_before_anything_is_changed(
        self, run, planned, conducted, files_below
    ):
        diverged = self.end(planned["s1"], "diverged")
        config = diverged / "config.yaml"
        config.write_text(config.read_text().replace("accelerator: cpu", "accelerator: gpu"))
        before = files_below(diverged)
        done = run("runs.py", "retry", diverged)
        assert (done.code, conducted.called) == (2, False)
        assert "trainer.accelerator=gpu" in done.err
        assert files_below(diverged) == before

    def test_a_run_that_is_being_done_is_left_alone(self, run, planned, conducted):
        diverged = self.end(planned["s1"], "diverged")
        with held_elsewhere(diverged / "run.lock"):
            done = run("runs.py", "retry", diverged)
        assert "another process" in done.out
        assert look(diverged).state == "diverged"
        assert (diverged / "resume").is_dir()


@pytest.mark.slow
def test_runs_are_done_again(command, tmp_path):
    """One that failed for its data, which were mended since, and one that diverges every time."""
    rows = [f"{'good' if row % 2 else 'bad'} {row},{row % 2}" for row in range(40)]
    data, other, out = tmp_path / "rows.csv", tmp_path / "other.csv", tmp_path / "outputs"
    other.write_text("\n".join(["text,label", *rows]))
    files = ["data=files", f"data.train_file={data}", f"data.validation_file={other}", "data.text=text"]
    common = [*TINY, *files, f"output_dir={out}", "data.selection_size=8"]
    data.write_text("\n".join(["text,label", *rows]))
    assert train(CONF, [*common, "optimizer.lr=1e30"]) == 1
    data.write_text("\n".join(["text,label", *rows, "no label,"]))
    _fingerprint.cache_clear()  # each command has a process of its own
    assert train(CONF, common) == 1
    data.write_text("\n".join(["text,label", *rows]))
    assert command("runs.py", "list", out).out.splitlines()[-1] == "2 runs: 1 failed, 1 diverged"

    done = command("runs.py", "retry", out)
    assert (done.code, "Traceback" in done.err) == (1, False)
    assert "has changed and is now" in done.out
    assert command("runs.py", "list", out).out.splitlines()[-1] == "3 runs: 1 finished, 1 failed, 1 diverged"


class TestPrune:
    def test_what_is_named_goes_and_nothing_else(self, run, sweep):
        done = run("runs.py", "prune", sweep, "--status", "failed,diverged", "--yes")
        assert done.code == 0
        assert "remove 2 runs: 1 failed, 1 diverged; " in done.out
        assert "removed 2 of 2" in done.out
        assert sorted(path.name for path in sweep.iterdir()) == [NAME.format(seed) for seed in (0, 3, 4)]

    def test_only_what_has_not_changed_for_long(self, run, sweep):
        run("runs.py", "prune", sweep, "--status", "interrupted,pending", "--older", "7d", "--yes")
        assert not place(sweep, 3).exists()
        assert place(sweep, 4).exists()

    def test_weights_alone(self, run, sweep):
        for name in ("checkpoint", "resume"):
            (place(sweep, 0) / name).mkdir()
            (place(sweep, 0) / name / "weights").write_bytes(bytes(3_000_000))
        done = run("runs.py", "prune", sweep, "--status", "finished,failed", "--checkpoints", "--yes")
        assert "remove the weights of 1 run: 1 finished; 6.00MB in all" in done.out
        assert "train.py will repeat finished runs without weights" in done.out
        assert [path.name for path in place(sweep, 0).iterdir()] == ["record.json"]
        assert place(sweep, 1).exists()

    def test_somebody_is_asked(self, run, sweep, monkeypatch):
        for said, left in (("", 5), ("n", 5), ("y", 4)):
            terminal = io.StringIO(said + "\n")
            terminal.isatty = lambda: True
            monkeypatch.setattr("sys.stdin", terminal)
            assert run("runs.py", "prune", sweep, "--status", "failed").code == 0
            assert len(list(sweep.iterdir())) == left

    def test_without_a_terminal_it_refuses(self, command, sweep):
        done = command("runs.py", "prune", sweep, "--status", "failed")
        assert done.code == 2
        assert "--yes" in done.err
        assert len(list(sweep.iterdir())) == 5

    def test_a_run_that_is_being_done_is_kept(self, run, sweep):
        with held_elsewhere(place(sweep, 1) / "run.lock"):
            done = run("runs.py", "prune", sweep, "--status", "failed,diverged", "--yes")
        assert done.code == 1
        assert "another process" in done.err
        assert place(sweep, 1).exists()
        assert not place(sweep, 2).exists()

    def test_other_peoples_directories_are_left_alone(self, run, tmp_path):
        stranger = tmp_path / "recordings"
        stranger.mkdir()
        (stranger / "record.json").write_text("[]")
        done = run("runs.py", "prune", tmp_path, "--status", "damaged", "--yes")
        assert "is not a run directory" in done.out
        assert stranger.exists()

    def test_what_cannot_be_removed_is_told_and_the_others_go(self, run, sweep):
        # Hidden, its name would be longer than a file system takes; root is stopped by that too.
        stuck = write_record(sweep / ("x" * 252), "failed")
        done = run("runs.py", "prune", sweep, "--status", "failed", "--yes")
        assert done.code == 1
        assert "cannot be removed (File name too long)" in done.err
        assert "removed 1 of 2" in done.out
        assert look(stuck).state == "failed"
        assert not place(sweep, 1).exists()

    def test_what_an_earlier_prune_had_begun_with_goes_too(self, run, sweep):
        place(sweep, 1).rename(sweep / f".{NAME.format(1)}.pruned")
        run("runs.py", "prune", sweep, "--status", "damaged", "--yes")
        assert not (sweep / f".{NAME.format(1)}.pruned").exists()


class TestCaches:
    @pytest.fixture
    def cache(self, tmp_path):
        for name, suffix in (("tokens", "arrow"), ("evidence", "safetensors")):
            (tmp_path / "cache" / name).mkdir(parents=True)
            for digit in "ab":
                (tmp_path / "cache" / name / f"{digit * 64}.{suffix}").write_bytes(bytes(1_000_000))
        return tmp_path / "cache"

    def test_where_they_are_and_how_large(self, run, cache, monkeypatch):
        monkeypatch.setenv("EMBFACT_CACHE_DIR", str(cache))
        text = run("runs.py", "caches").out
        assert [line.split() for line in text.splitlines()] == [
            ["tokens", str(cache / "tokens"), "2", "files", "2.00MB"],
            ["evidence", str(cache / "evidence"), "2", "files", "2.00MB"],
            ["decompositions", str(cache / "decompositions"), "0", "files", "0B"],
            ["references", str(cache / "references"), "0", "files", "0B"],
        ]

    def test_one_is_emptied_but_for_what_is_being_written(self, run, cache):
        (cache / "tokens" / "README").write_text("not ours")
        with held_elsewhere(cache / "tokens" / f"{'a' * 64}.lock"):
            done = run("runs.py", "caches", "--cache-dir", cache, "--empty", "tokens", "--yes")
            assert "tokens: removed 1, kept 1 being written" in done.out
        assert (cache / "tokens" / f"{'a' * 64}.arrow").exists()
        assert (cache / "tokens" / "README").exists()
        assert len(list((cache / "evidence").iterdir())) == 2

    def test_all_are_emptied(self, run, cache):
        assert run("runs.py", "caches", "--cache-dir", cache, "--empty", "--yes").code == 0
        assert [list(folder.iterdir()) for folder in cache.iterdir()] == [[], []]


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (["list", "{tmp}/nowhere"], "is not a directory"),
        (["list", "{tmp}", "--status", "fialed"], "'fialed' cannot be chosen; did you mean 'failed'?"),
        (["list", "{tmp}", "--sort", "size"], "invalid choice: 'size'"),
        (["show", "{tmp}"], "is not a run directory; try python scripts/runs.py list"),
        (["show", "{tmp}/nowhere"], "is not a directory"),
        (["retry", "{tmp}", "--status", "running"], "'running' cannot be chosen"),
        (["prune", "{tmp}"], "--status"),
        (["prune", "{tmp}", "--status", "running"], "'running' cannot be chosen"),
        (["prune", "{tmp}", "--status", "failed", "--older", "week"], "write it as 30min, 12h, 7d or 2w"),
        (["caches", "--cache-dir", "{tmp}", "--empty", "token"], "there is no cache 'token'; did you mean 'tokens'?"),
        ([], "COMMAND"),
        (["lsit"], "lsit"),
    ],
)
def test_bad_commands_are_refused_in_words(run, refused, tmp_path, words, refusal):
    refused(run("runs.py", *(word.format(tmp=tmp_path) for word in words)), refusal)


def test_a_list_loads_nothing_heavy(modules_after, sweep):
    codes, modules = modules_after("runs.py", [["list", str(sweep)], ["show", str(place(sweep, 0))], ["caches"]])
    assert codes == [0, 0, 0]
    assert not {"torch", "hydra", "pyarrow", "fsspec", "transformers", "numpy"} & modules
