"""The benchmarks run; what they measure on a busy machine is no test."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

pytestmark = pytest.mark.benchmark
BENCHMARKS = ROOT / "benchmarks"


def test_factorize_prints_a_table_for_each_question():
    command = [sys.executable, BENCHMARKS / "factorize.py", "--quick", "--repeats", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    heads = [line for line in done.stdout.splitlines() if line.startswith("| ---")]
    rows = [line.split("|")[1].strip() for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(heads) == 3
    assert rows.count("3,000 x 48") == rows.count("3,000 x 96") == 2
    assert rows[-2:] == ["gram", "randomized"]


def test_factorize_takes_no_fewer_than_three_measurements():
    command = [sys.executable, BENCHMARKS / "factorize.py", "--quick", "--repeats", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--repeats must be 3 or more" in done.stderr


def test_startup_tells_the_time_to_the_first_step_by_part():
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "startup.py", "--quick"], capture_output=True, text=True, check=True
    )

    lines = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("| ")][2:]
    (imports, whole, *parts) = [float(seconds) for _, seconds, _ in lines]
    assert imports > 0
    assert len(parts) == 6
    assert sum(parts) == pytest.approx(whole, abs=0.05)


def test_runs_list_times_the_listing_of_every_run():
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "runs_list.py", "--quick"], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1].startswith("| 200 | ")


def first_cells(printed: str) -> list[str]:
    """The first cell of every row of the Markdown tables, heads left out."""
    lines = printed.splitlines()
    heads = {number - 1 for number, line in enumerate(lines) if line.startswith("| ---")}
    rows = [line for number, line in enumerate(lines) if line.startswith("| ") and number not in heads]
    return [line.split("|")[1].strip() for line in rows if not line.startswith("| ---")]


def test_shared_texts_counts_the_rows_of_each_split_in_the_other_data_set():
    command = [sys.executable, BENCHMARKS / "shared_texts.py", "vader", "vader"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert first_cells(done.stdout) == ["train", "test", "all"]
    assert done.stdout.splitlines()[-1] == "| all | 7,494 | 7,494 | 7,494 |"


def test_evaluation_compares_the_logits_of_every_way():
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "evaluation.py", "--quick"], capture_output=True, text=True, check=True
    )

    assert first_cells(done.stdout) == ["loop, torch.no_grad", "loop, torch.inference_mode", "embfact"]
    assert float(done.stdout.split()[-1]) <= 1e-4


def test_training_shows_embfact_beside_a_bare_loop_with_dropout_and_without():
    command = [sys.executable, BENCHMARKS / "training.py", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert first_cells(done.stdout) == ["bare loop, embfact's batches and kernels", "embfact"] * 2


@pytest.mark.parametrize("name", ["startup.py", "evaluation.py", "training.py", "cost_curves.py", "memory.py"])
def test_fewer_than_three_measurements_are_refused(name: str):
    command = [sys.executable, BENCHMARKS / name, "--rounds", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "must be 3 or more, for a median (found 2)" in done.stderr


def with_the_trainer(name: str) -> str:
    """What a quick benchmark prints that needs the Trainer; where that cannot run, it has to say so."""
    done = subprocess.run([sys.executable, BENCHMARKS / name, "--quick"], capture_output=True, text=True, check=False)
    if find_spec("accelerate") is None:
        assert done.returncode == 2
        assert "pip install 'embfact[bench]'" in done.stderr
        pytest.skip("accelerate is not installed")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_accuracy_gives_the_interval_of_the_difference():
    row = with_the_trainer("accuracy.py").splitlines()[-1]

    assert row.startswith("| 2 | ")
    assert " to " in row


def test_memory_shows_the_peak_of_every_process():
    names = first_cells(with_the_trainer("memory.py"))

    assert names[:3] == ["Trainer, dense, grouped by length", "embfact, dense", "embfact, svd, rank 64"]
    assert len(names) == 5


def test_glue_sweep_shows_both_launchers_beside_single_processes():
    names = first_cells(with_the_trainer("glue_sweep.py"))

    assert names == ["run_glue.py-style", "embfact", "embfact, hydra/launcher=parallel"]


def test_cost_curves_print_and_draw_three_of_them(tmp_path: Path):
    picture = tmp_path / "cost.svg"
    command = [sys.executable, BENCHMARKS / "cost_curves.py", "--quick", "--output", picture]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert first_cells(done.stdout) == ["2", "4", "8", "16", "32", "64", "128", "256", "4", "5", "6"]
    assert done.stdout.count("slope: measured") == 3
    assert picture.read_text().startswith("<?xml")


def test_false_positives_prints_a_line_for_each_number_of_seeds():
    command = [sys.executable, BENCHMARKS / "false_positives.py", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()[2:]]
    assert [row[0] for row in rows] == ["3", "5", "10"]
    assert all(0 <= float(cell.removesuffix(" %")) <= 100 for row in rows for cell in row[1:])


def test_coverage_prints_coverage_width_and_power():
    command = [sys.executable, BENCHMARKS / "coverage.py", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    groups = ["3 and 3", "5 and 5", "10 and 10", "3 and 10"]
    assert first_cells(done.stdout) == [*groups, "0", "1", "4", *["872"] * 4, *["5000"] * 4]


def test_storage_compares_schemes_and_groups():
    command = [sys.executable, BENCHMARKS / "storage.py", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert {"int4", "int8"} <= set(re.findall(r"int\d", done.stdout))
    assert len(first_cells(done.stdout)) >= 8


def test_error_per_byte_prints_rows_and_what_is_beyond_the_bound(tmp_path: Path):
    picture, kept = tmp_path / "error.svg", tmp_path / "rows.jsonl"
    command = [sys.executable, BENCHMARKS / "error_per_byte.py", "--quick", "--rows", kept, "--output", picture]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert first_cells(done.stdout) == ["none int8", "transform_coding int8", "svd int8", "transform_coding int8"]
    assert picture.read_text().startswith("<?xml")
    assert len(kept.read_text().splitlines()) == 3
