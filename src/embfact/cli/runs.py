"""List and inspect runs, retry failed ones, copy what can be published, and remove what is no longer needed.

Examples:
  python scripts/runs.py list outputs/methods_sst2 --status failed,interrupted
  python scripts/runs.py show outputs/methods_sst2/NAME
  python scripts/runs.py retry outputs/methods_sst2
  python scripts/runs.py export outputs/methods_sst2 --output paper/runs
  python scripts/runs.py prune outputs/methods_sst2 --status failed --older 7d
  python scripts/runs.py caches --empty tokens
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embfact.cli.command_line import Parser, answer, complain
from embfact.config.places import CONF
from embfact.errors import UserError, nearest
from embfact.log import say
from embfact.runs.listing import ORDERS, as_json, counts, table
from embfact.runs.survey import STATES, RunState, look, survey

if TYPE_CHECKING:
    from embfact.config.run_config import RunConfig

_UNITS = {"min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, 1 if a run failed or was left out, or 2 if the command was refused."""
    options = parser().parse_args(arguments)
    codes: list[int] = []
    return answer("runs.py", lambda: codes.append(options.command(options))) or codes[0]


def parser() -> Parser:
    """The arguments of the command."""
    made = Parser("runs.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = made.add_subparsers(required=True, metavar="COMMAND", title="commands")

    listing = _command(commands, "list", "a line for each run, and how many are in each state", _list)
    _add_directories(listing)
    _add_states(listing, None, "only these")
    listing.add_argument("--sort", choices=list(ORDERS), default="name", help="name, age (newest first) or duration")
    listing.add_argument("--json", action="store_true", help="everything that is known about each run, as JSON")

    show = _command(commands, "show", "everything that is known about one run", _show)
    show.add_argument("run", type=Path, metavar="RUN", help="run directory")

    retry = _command(commands, "retry", "retry runs from the configurations in their directories", _retry)
    _add_directories(retry)
    _add_states(retry, "failed,diverged", "which to retry (default: failed,diverged)", without=("running", "finished"))
    retry.add_argument("--plan", action="store_true", help="print what would be done, and stop")

    export = _command(commands, "export", "copy records, predictions and curves; no weights, texts or folders", _export)
    _add_directories(export)
    export.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="where to; copies of runs are renewed"
    )

    prune = _command(commands, "prune", "remove run directories, after confirmation", _prune)
    _add_directories(prune)
    _add_states(prune, None, "which to remove", without=("running",), required=True)
    prune.add_argument(
        "--older", type=_seconds, default=0.0, metavar="7d", help="unchanged for at least 30min, 12h, 7d, 2w"
    )
    prune.add_argument("--checkpoints", action="store_true", help="remove only weights; records and tables stay")
    prune.add_argument("--yes", action="store_true", help="do not ask")

    caches = _command(commands, "caches", "list the shared caches with their sizes, or empty them", _caches)
    caches.add_argument("--cache-dir", type=Path, metavar="DIR", help="default: EMBFACT_CACHE_DIR, or ~/.cache/embfact")
    caches.add_argument(
        "--empty", nargs="*", metavar="NAME", help="empty these caches: tokens, evidence, ...; without a NAME, all"
    )
    caches.add_argument("--yes", action="store_true", help="do not ask")
    return made


def _command(commands: Any, name: str, help_text: str, work: Callable[[argparse.Namespace], int]) -> Parser:
    parser: Parser = commands.add_parser(name, help=help_text, description=help_text)
    parser.set_defaults(command=work)
    return parser


def _add_directories(parser: Parser) -> None:
    parser.add_argument("directories", nargs="+", type=Path, metavar="DIR", help="directory of runs, at any depth")


def _add_states(
    parser: Parser, default: str | None, help_text: str, without: Sequence[str] = (), required: bool = False
) -> None:
    allowed = [state for state in STATES if state not in without]

    def read(text: str) -> set[str]:
        chosen = {word.strip() for word in text.split(",")}
        for word in sorted(chosen - set(allowed)):
            raise argparse.ArgumentTypeError(f"{word!r} cannot be chosen; {nearest(word, allowed)}")
        return chosen

    text = f"{help_text}: {', '.join(allowed)}"
    parser.add_argument("--status", type=read, default=default, metavar="STATUS,...", help=text, required=required)


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(min|h|d|w)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration; write it as 30min, 12h, 7d or 2w")
    return float(found[1]) * _UNITS[found[2]]


def _list(options: argparse.Namespace) -> int:
    runs = _found(options.directories)
    shown = sorted(_chosen(runs, options.status), key=ORDERS[options.sort])
    if options.json:
        print(as_json(shown))
        return 0
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    last = counts(runs) if len(shown) == len(runs) else f"{len(shown):,} of {counts(runs)}"
    print("\n".join([*(table(shown, width) if shown else []), last]))
    return 0


def _show(options: argparse.Namespace) -> int:
    from embfact.runs.listing import details

    run = look(options.run) if options.run.is_dir() else None
    if run is None:
        _check([options.run])
        raise UserError(f"{options.run} is not a run directory; try python scripts/runs.py list {options.run}")
    say("\n".join(details(run)))
    return 0


def _retry(options: argparse.Namespace) -> int:
    chosen = _chosen(_found(options.directories), options.status)
    if not chosen:
        print(f"nothing to do: no run is {_either(options.status)}")
        return 0
    from embfact.runs.accelerators import check_accelerators
    from embfact.sweep.retry import plan_retry, start_afresh, what_changed

    retries = [plan_retry(run) for run in chosen]
    for retry in retries:
        print(f"{retry.run.state:<11}  {retry.run.name}  {retry.description}")
    left_out = [retry for retry in retries if retry.config is None]
    if options.plan:
        print("\n".join([*what_changed(retries), counts([retry.run for retry in retries if retry.config])]))
        return int(bool(left_out))
    check_accelerators([retry.config.trainer for retry in retries if retry.config], ask_torch=True)
    for retry in retries:
        if retry.run.state == "diverged" and retry.same and not start_afresh(retry):
            print(f"{retry.run.name} is not restarted: another process is working in its directory")
    return max(_run([retry.config for retry in retries if retry.config]), int(bool(left_out)))


def _run(configs: Sequence[RunConfig]) -> int:
    """Run configurations as train.py does; runs of several processes are run one by one, not as a sweep."""
    from embfact.cli.train import run_request
    from embfact.config.compose import RunRequest

    if len(configs) > 1 and all(config.trainer.devices == 1 for config in configs):
        return run_request(RunRequest(tuple(configs), multirun=True), CONF)
    code = 0
    for config in configs:
        code = max(code, run_request(RunRequest((config,), multirun=False), CONF))
        if code > 1:  # interrupted
            break
    return code


def _export(options: argparse.Namespace) -> int:
    from embfact.runs.export import export

    runs = [run for run in _found(options.directories) if run.state in ("finished", "failed", "diverged")]
    if not runs:
        raise UserError(f"no run below {', '.join(map(str, options.directories))} has ended; finish one first")
    for run in runs:
        export(run.directory, options.output)
    print(f"copied {len(runs)} run{'s' if len(runs) > 1 else ''} to {options.output}")
    return 0


def _prune(options: argparse.Namespace) -> int:
    from embfact.formatting.numbers import short
    from embfact.runs.prune import is_ours, leftovers, prune, weights
    from embfact.system.disk import bytes_below

    runs = _found(options.directories)
    for folder in leftovers({*options.directories, *(run.directory.parent for run in runs)}):
        shutil.rmtree(folder)
        print(f"removed {folder}, left over from an interrupted prune")
    old = [run for run in _chosen(runs, options.status) if time.time() - run.changed >= options.older]
    parts = {run: weights(run) if options.checkpoints else [run.directory] for run in old if is_ours(run)}
    sizes = {run: sum(map(bytes_below, paths)) for run, paths in parts.items() if paths}
    lines = [f"{run.state:<11}  {short(size) + 'B':>6}  {run.place}" for run, size in sizes.items()]
    print("\n".join([*lines, *(f"kept: {run.place} is not a run directory" for run in old if run not in parts)]))
    if not sizes:
        print(f"nothing to remove: no such run is {_either(options.status)}")
        return 0
    what = ("the weights of " if options.checkpoints else "") + counts(list(sizes))
    if options.checkpoints and any(run.state == "finished" for run in sizes):
        say("train.py will repeat finished runs without weights, except with checkpoint=none")
    if not _agreed(f"remove {what}; {short(sum(sizes.values()))}B in all", options.yes):
        return 0
    return _each(sizes, lambda run: prune(run, weights_only=options.checkpoints))


def _each(runs: Iterable[RunState], remove: Callable[[RunState], str | None]) -> int:
    """Remove runs one by one, and report those that cannot be removed; returns 1 if there are any, else 0."""
    runs, kept = list(runs), 0
    for run in runs:
        try:
            problem = remove(run)
        except OSError as error:
            problem = f"{error.filename} cannot be removed ({error.strerror})"
        if problem:
            complain("runs.py", f"{run.place} is kept: {problem}")
            kept += 1
    print(f"removed {len(runs) - kept} of {len(runs)}")
    return int(kept > 0)


def _caches(options: argparse.Namespace) -> int:
    from embfact.formatting.numbers import short
    from embfact.runs.tidy import caches, default_cache_dir, empty

    found = caches(options.cache_dir or default_cache_dir())
    names = [cache.name for cache in found]
    chosen = None if options.empty is None else options.empty or names
    for name in chosen or ():
        if name not in names:
            raise UserError(f"there is no cache {name!r}; {nearest(name, names)}")
    width = max(len(str(cache.folder)) for cache in found)
    for cache in found:
        files = f"{cache.files:,} file{'' if cache.files == 1 else 's'}"
        print(f"{cache.name:<14}  {cache.folder!s:<{width}}  {files:>12}  {short(cache.bytes) + 'B':>6}")
    full = [cache for cache in found if cache.name in (chosen or ()) and cache.files]
    if chosen is None or not full:
        return 0
    size = short(sum(cache.bytes for cache in full))
    if _agreed(f"empty {', '.join(cache.name for cache in full)}; {size}B in all, recomputed when needed", options.yes):
        for cache in full:
            removed, busy = empty(cache)
            print(f"{cache.name}: removed {removed:,}" + (f", kept {busy:,} being written" if busy else ""))
    return 0


def _found(directories: Sequence[Path]) -> list[RunState]:
    _check(directories)
    return survey(directories)


def _check(directories: Sequence[Path]) -> None:
    for directory in directories:
        if not directory.is_dir():
            raise UserError(f"{directory} is not a directory; give the output directory of a run or a sweep")


def _chosen(runs: Sequence[RunState], states: set[str] | None) -> list[RunState]:
    return [run for run in runs if states is None or run.state in states]


def _either(states: set[str]) -> str:
    return " or ".join(state for state in STATES if state in states)


def _agreed(what: str, yes: bool) -> bool:
    """Ask the user for confirmation.

    Raises:
        UserError: If there is no terminal.
    """
    print(what)
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UserError("there is no terminal to ask for confirmation; add --yes to remove that")
    if input("continue? [y/N] ").strip().lower() in ("y", "yes"):
        return True
    print("nothing was removed")
    return False
