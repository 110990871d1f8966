"""Shell completion of ``embfact``: its commands, and the groups and options of those that take overrides."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from embfact.config.places import CONF
from embfact.errors import ConfigError

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
        Whole words: commands, ``group=option``, or ``key=`` where any value may follow.
    """
    if len(words) < 2:
        start = words[0] if words else ""
        return [name for name in [*commands, "completion"] if name.startswith(start)]
    if words[0] not in OVERRIDES:
        return []
    from hydra.core.global_hydra import GlobalHydra

    from embfact.config.compose import hydra_session

    key, chosen, start = words[-1].partition("=")
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
