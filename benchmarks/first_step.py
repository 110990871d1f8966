"""`train.py`, stopped at the end of its first optimizer step: a process of `benchmarks/startup.py`.

    python benchmarks/first_step.py REPORT WORDS...

It runs `train.py` as it is, with a look at the clock where one part ends and the next begins; REPORT gets the moments.
"""

import time

BEGUN = time.time()  # before anything of ours is imported

import functools  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import runpy  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

TRAIN = Path(__file__).resolve().parents[1] / "train.py"


def main(report: Path, words: list[str]) -> None:
    """Run `train.py` and note when each part has ended, in seconds since the epoch.

    Args:
        report: The file for the moments, a JSON object.
        words: What is typed after ``train.py``.
    """
    from embfact.launchers import work

    moments = {"interpreter": BEGUN}

    def noted(module: Any, name: str, part: str) -> None:
        """Let a function of a module note when it has returned."""
        function = getattr(module, name)

        @functools.wraps(function)
        def watched(*args: Any, **options: Any) -> Any:
            result = function(*args, **options)
            moments[part] = time.time()
            return result

        setattr(module, name, watched)

    def stop(*_: Any) -> None:
        moments["step"] = time.time()
        report.write_text(json.dumps(moments))
        os._exit(0)  # nothing of this run is wanted any more

    import_once = work.import_once

    def imports() -> None:
        moments["configuration"] = time.time()
        import_once()
        moments["imports"] = time.time()
        from torch.optim.optimizer import register_optimizer_step_post_hook

        from embfact.training import run

        noted(run, "load", "loading")
        noted(run, "factorize", "factorization")
        register_optimizer_step_post_hook(stop)

    work.import_once = imports
    sys.argv = [str(TRAIN), *words]
    runpy.run_path(str(TRAIN), run_name="__main__")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
