"""Shell completion of ``embfact``: its commands and their flags, and the groups and options of overrides."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from embfact.config.places import CONF
from embfact.errors import ConfigError

# Flags of Hydra that `train` refuses, or that are for Hydra's own completion.
REFUSED = ("config_path", "config_name", "experimental_rerun", "shell_completion")
OVERRIDES = ("train", "factorize", "analyze", "evaluate")  # commands that take the overrides of train.py
_SCRIPTS = {
    # Bash splits words at "=", so they are read from the line, and completed from the "=" on.
    "bash": """_embfact() {
    local IFS=$' \\t\\n' line=${COMP_LINE:0:COMP_POINT} words found
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    local last=${words[${#words[@]}-1]} IFS=$'\\n'
    found=($(embfact __complete "${words[@]:1}" 2>/dev/null))
    [[ $last == *=* && $COMP_WORDBREAKS == *=* ]] && found=("${found[@]#"${last%=*}="}")
    COMPREPLY=("${found[@]}")
    [[ ${found[0]} == *= ]] && compopt -o nospace
}
complete -o default -F _embfact embfact""",
    "zsh": """(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
_embfact() {
    local -a found
    found=(${(f)"$(embfact __complete "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    compadd -S '' -- ${(M)found:#*=}
    compadd -- ${found:#*=}
}
compdef _embfact embfact""",
}


def script(words: Sequence[str]) -> int:
    """Print the lines that turn completion on in a shell; gives the exit code."""
    if list(words) not in ([name] for name in _SCRIPTS):
        found = " ".join(words) or "nothing"
        print(f"embfact completion: name one shell of {', '.join(_SCRIPTS)} (found {found})", file=sys.stderr)
        return 2
    print(_SCRIPTS[words[0]])
    return 0


def complete(words: Sequence[str], commands: Iterable[str]) -> list[str]:
    """What the last word may become.

    Args:
        words: What was typed after ``embfact``; the last one is not finished.
        commands: The commands there are.

    Returns:
        Whole words: commands, flags and their choices, ``group=option``, or ``key=`` where any value may follow.
    """
    commands = list(commands)
    start = words[-1] if words else ""
    if len(words) < 2:
        return _starting(start, ["--help", "--version"] if start.startswith("-") else [*commands, "completion"])
    command = words[0]
    if command == "completion":
        return _starting(start, _SCRIPTS)
    if command not in commands:
        return []
    parser = _parser(command)
    below: dict[str, argparse.ArgumentParser] = {}
    for word in [*words[1:-1], ""]:
        below = next((dict(a.choices or {}) for a in parser._actions if isinstance(a, argparse._SubParsersAction)), {})
        parser = below.get(word, parser)
    flags = {flag: action for flag, action in parser._option_string_actions.items() if action.dest not in REFUSED}
    asked = flags.get(words[-2])
    if asked and asked.nargs != 0:
        return _starting(start, map(str, asked.choices or ()))
    flag, chosen, value = start.partition("=")
    if start.startswith("-"):
        if chosen:
            choices = flags[flag].choices if flag in flags else None
            return [f"{flag}={choice}" for choice in _starting(value, map(str, choices or ()))]
        return _starting(start, [flag for flag in flags if flag.startswith("--")] or flags)
    return _starting(start, below) if below else _overrides(start) if command in OVERRIDES else []


def _starting(start: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(start)]


def _parser(command: str) -> argparse.ArgumentParser:
    """The flags of a command; those of ``train`` are Hydra's."""
    if command == "train":
        from embfact.config.hydra_bridge import argument_parser

        return argument_parser()
    made: argparse.ArgumentParser = import_module(f"embfact.cli.{command.replace('-', '_')}").parser()
    return made


def _overrides(word: str) -> list[str]:
    """The groups, their options and the values that an override may name."""
    from hydra.core.global_hydra import GlobalHydra

    from embfact.config.compose import hydra_session

    key, chosen, start = word.partition("=")
    with suppress(ConfigError), hydra_session(CONF) as composer:
        loader = GlobalHydra.instance().config_loader()
        if chosen:
            return [f"{key}={option}" for option in loader.get_group_options(key) if option.startswith(start)]
        groups = [*(name for name in loader.list_groups("") if name != "hydra"), "hydra/launcher"]
        options = [*groups, *_dotted(composer.values([])[0])]
        return [f"{name}=" for name in dict.fromkeys(options) if name.startswith(key)]
    return []  # a folder of the user's own that cannot be used


def _dotted(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The options of nested sections by dotted name."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
