"""Shell completion of ``embfact``: its commands, and the groups and options of those that take overrides."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from embfact.config.places import CONF

OVERRIDES = ("train", "factorize", "analyze", "evaluate")  # commands that take the overrides of train.py
_SCRIPTS = {
    "bash": """_embfact() {
    local IFS=$'\\n'
    COMPREPLY=($(embfact __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o default -F _embfact embfact""",
}
_SCRIPTS["zsh"] = "autoload -U +X bashcompinit && bashcompinit\n" + _SCRIPTS["bash"]


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
    with hydra_session(CONF) as composer:
        loader = GlobalHydra.instance().config_loader()
        if chosen:
            return [f"{key}={option}" for option in loader.get_group_options(key) if option.startswith(start)]
        groups = [*(name for name in loader.list_groups("") if name != "hydra"), "hydra/launcher"]
        options = [*groups, *_dotted(composer.values([])[0])]
    return [f"{name}=" for name in dict.fromkeys(options) if name.startswith(key)]


def _dotted(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The options of nested sections by dotted name."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
