"""The page of a sweep as a file: what is in it, that it needs nothing else, and what the command refuses."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re

import pytest

from embfact.results.dashboard.html import page
from embfact.results.dashboard.payload import payload
from embfact.results.dashboard.sweep import read_sweep
from tests.helpers.records import make_values
from tests.helpers.run_directories import write_record, write_state
from tests.results.dashboard.made_up import HOSTILE, write_hostile, write_large, write_run, write_small


def data_of(html):
    """The data of a page, as a browser finds it: up to the end of the first element of this kind."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1])


def own_part(html):
    """The page without the plotting library, which is compressed."""
    return re.sub(r'<script type="application/gzip" id="plotly">.*?</script>', "", html, flags=re.DOTALL)


def scripts_of(html):
    """The code that the page runs: its own, and the plotting library."""
    packed = re.search(r'<script type="application/gzip" id="plotly">(.*?)</script>', html, re.DOTALL)[1]
    return [*re.findall(r"<script>(.*?)</script>", html, re.DOTALL), gzip.decompress(base64.b64decode(packed)).decode()]


@pytest.fixture
def small(tmp_path):
    return write_small(tmp_path / "small")


class TestData:
    def test_runs_have_their_figures_sizes_and_curves(self, small):
        data = payload(read_sweep([str(small)]))
        runs = {(data["groups"][run["group"]]["method"], run["status"]): run for run in data["runs"]}
        done = runs["svd", "finished"]
        assert data["figures"] == [("validation", "accuracy")]
        assert done["values"] == {0: 0.85}
        assert done["sizes"] == [1977984, 12967984, 7911936, 51871936]
        steps, losses = done["curves"]["train/loss"]
        assert len(data["steps"][steps]) == len(losses) == 100
        assert runs["svd", "failed"]["message"] == "out of memory at step 7"
        assert [data["groups"][run["group"]]["dense"] for run in data["runs"]].count(True) == 1

    def test_only_what_the_table_averages_shares_a_group(self, tmp_path):
        for seed, rate in [(0, 1e-5), (1, 1e-5), (0, 2e-5)]:
            write_run(tmp_path, make_values(seed=seed, options={"optimizer": {"lr": rate}}))
        write_run(tmp_path, make_values(rows={"train": 100, "validation": 872}, options={"optimizer": {"lr": 1e-5}}))
        data = payload(read_sweep([str(tmp_path)]))
        kept_apart = {(run["group"], run["data"]) for run in data["runs"]}
        assert len(kept_apart) == 3
        assert {run["data"] for run in data["runs"]} == {"sst2 (a)", "sst2 (b)"}
        assert {group["setting"] for group in data["groups"]} == {"lr=1e-05", "lr=2e-05"}

    def test_runs_without_a_record_stand_beside_those_that_they_belong_to(self, small):
        science = {"method": "svd", "size": {"rank": 64}, "storage": "float32", "seed": 7}
        science |= {"model_fingerprint": "ab" * 32}
        write_state(small / "waiting", "pending", hash="cd" * 32, science=science)
        write_state(small / "stopped", "interrupted", hash="ef" * 32, phase="training", step=5, steps=9)
        data = payload(read_sweep([str(small)]))
        runs = {run["status"]: run for run in data["runs"]}
        done = next(run for run in data["runs"] if run["rank"] == 64)
        assert (runs["pending"]["group"], runs["pending"]["seed"]) == (done["group"], 7)
        assert runs["pending"]["rank"] == 64
        assert data["groups"][runs["interrupted"]["group"]]["model"] == ""
        assert runs["interrupted"]["message"] == "training, step 5 of 9"

    @pytest.mark.parametrize(
        ("other", "row"),
        [
            ({"optimizer": {"lr": 1e-3}}, (1, "sst2", "lr=0.001")),
            ({"quantization": "aware"}, (1, "sst2", "quantization=aware")),
            ({"versions": {"torch": "3"}}, (1, "sst2", "torch=3")),
            ({"data": {"max_length": 64}}, (0, "", "")),
        ],
    )
    def test_a_run_without_a_record_joins_no_row_or_data_set_of_other_options(self, tmp_path, other, row):
        done = make_values("svd", 64)
        write_run(tmp_path, done)
        alike = done["science"] | {"size": {"rank": 64}, "seed": 1}
        write_state(tmp_path / "alike", "pending", hash="cd" * 32, science=alike)
        write_state(tmp_path / "other", "running", hash="ef" * 32, science=alike | other)
        data = payload(read_sweep([str(tmp_path)]))
        found = {run["id"]: (run["group"], run["data"]) for run in data["runs"]}
        assert found[done["hash"]] == found["cd" * 32] == (0, "sst2")
        assert (*found["ef" * 32], data["groups"][found["ef" * 32][0]]["setting"]) == row

    @pytest.mark.parametrize("quantization", ["post_training", "aware"])
    def test_what_waits_belongs_to_the_runs_of_its_groups(self, quantization, tmp_path):
        kept = {"storage": "int4", "quantization": quantization}
        for group in (32, 64):
            options = {"storage_group": group, "size": {"rank": 64, "budget": None, "energy": None, "unit": None}}
            values = make_values("svd", 64, **kept, options=options)
            values["method"] |= {"storage_group": group, "size": f"r64-int4-g{group}"}
            write_run(tmp_path, values)
            science = values["science"] | {"seed": 7}
            write_state(tmp_path / f"waiting{group}", "pending", hash=f"{group}" * 32, science=science)
        data = payload(read_sweep([str(tmp_path)]))
        words = [f"int4-g{group}{' QAT' if quantization == 'aware' else ''}" for group in (64, 32)]
        assert [group["storage"] for group in data["groups"]] == words
        assert sorted((run["status"], run["group"]) for run in data["runs"]) == [
            (status, group) for status in ("finished", "pending") for group in (0, 1)
        ]

    def test_a_failed_run_that_is_done_again_is_no_failure(self, tmp_path):
        values = make_values(error="out of memory")
        write_record(tmp_path / "run", "failed")
        write_state(tmp_path / "run", "interrupted", hash=values["hash"], message="interrupted by SIGTERM")
        (entry,) = payload(read_sweep([str(tmp_path)]))["runs"]
        assert (entry["status"], entry["message"]) == ("interrupted", "interrupted by SIGTERM")

    def test_2000_runs_stay_small(self, tmp_path):
        data = payload(read_sweep([str(write_large(tmp_path, seeds=1))]))
        assert len(data["runs"]) == 200
        # Ten times as many are 3 MB beside the 2 MB of the plotting library.
        assert len(json.dumps(data)) < 380_000


class TestHtml:
    def test_it_loads_nothing(self, small):
        html = page(payload(read_sweep([str(small)])))
        assert not re.search(r"https?://|@import|\bsrc=|\bhref=|<link|<iframe", own_part(html))
        assert "default-src 'none'" in html
        assert "connect-src 'none'" in html
        assert not re.search(r"\{\{\w+\}\}", own_part(html))

    def test_its_policy_allows_the_scripts_that_it_has_and_no_other(self, small):
        html = page(payload(read_sweep([str(small)])))
        scripts = scripts_of(html)
        hashes = {base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() for code in scripts}
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
        assert set(re.findall(r"'sha256-([^']*)'", policy)) == hashes
        assert len(hashes) == 2
        assert "script-src 'unsafe" not in policy

    def test_data_comes_back_and_cannot_leave_its_element(self, tmp_path):
        data = payload(read_sweep([str(write_hostile(tmp_path))]))
        html = page(data)
        assert data_of(html) == json.loads(json.dumps(data)) | {"follow": False}
        assert HOSTILE not in html
        assert html.count("</script>") == 3
        assert "\u2028" not in own_part(html)
        assert {run["name"] for run in data_of(html)["runs"]} == {HOSTILE}

    def test_own_scripts_never_make_markup_of_text(self, small):
        own, _ = scripts_of(page(payload(read_sweep([str(small)]))))
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", own)

    def test_most_of_it_is_the_plotting_library_compressed(self, small):
        html = page(payload(read_sweep([str(small)])))
        assert len(html) < 2_200_000 < sum(map(len, scripts_of(html)))


class TestCommand:
    def test_a_page_is_written(self, run, small, tmp_path):
        done = run("dashboard.py", small, "-o", tmp_path / "page.html")
        assert (done.code, done.err) == (0, "")
        assert done.out == f"wrote {tmp_path / 'page.html'}\n"
        assert len(data_of((tmp_path / "page.html").read_text())["runs"]) == 3

    def test_mistakes_are_told(self, run, refused, small, tmp_path):
        (tmp_path / "empty").mkdir()
        output = tmp_path / "page.html"
        for arguments, words in (
            ([tmp_path / "no", small, tmp_path / "nor"], f"no, {tmp_path / 'nor'} are not directories; give the"),
            ([tmp_path / "empty"], "no readable run records below"),
            ([small, "-o", tmp_path / "missing" / "page.html"], "in an existing folder"),
            ([small, "-o", tmp_path], "in an existing folder"),
            ([small, "-o", small / "record.json"], "must end in .html"),
            ([small, "--port", "80"], "--port needs --watch"),
            ([small, "--watch", "-o", output], "leave out --output"),
            ([small, "--watch", "--port", "99999"], "not a port"),
            ([tmp_path / "no", "--watch"], "is not a directory"),
        ):
            refused(run("dashboard.py", *arguments), words)
        assert not output.exists()

    def test_records_that_cannot_be_read_are_told(self, run, refused, tmp_path):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "record.json").write_text('{"schema_version": 1')
        refused(run("dashboard.py", tmp_path), "not JSON")

    def test_nothing_heavy_is_imported(self, modules_after, small, tmp_path):
        codes, modules = modules_after("dashboard.py", [[str(small), "-o", str(tmp_path / "page.html")]])
        assert codes == [0]
        assert not modules & {"torch", "scipy", "numpy", "pandas", "matplotlib", "pyarrow", "transformers"}
