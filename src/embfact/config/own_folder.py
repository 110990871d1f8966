"""A folder of the user's own configurations, searched after embfact's.

``EMBFACT_CONF`` names it, for every command; ``--config-dir`` of ``train`` sets that variable, so that the processes of
a sweep see the folder too.
"""

from __future__ import annotations

import os
from functools import cache
from glob import escape
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from embfact.config.places import CONF
from embfact.errors import ConfigError, ErrorDetail, nearest

VARIABLE = "EMBFACT_CONF"


def own_folder() -> Path | None:
    """The absolute path of the user's folder; None without one."""
    name = os.environ.get(VARIABLE)
    return Path(name).expanduser().absolute() if name else None


def check_own_folder(conf_dir: Path) -> None:
    """Refuse a folder that does not exist, and files that embfact's own of the same name would hide.

    Args:
        conf_dir: The folder with ``train.yaml``.

    Raises:
        ConfigError: With every error.
    """
    folder = own_folder()
    if folder is None or folder == conf_dir.absolute():
        return
    if not folder.is_dir():
        remedy = f"set {VARIABLE}, or --config-dir of train, to an existing folder of YAML files"
        raise ConfigError([ErrorDetail("the folder of your configurations is not a folder", str(folder), remedy)])
    names = (path.relative_to(conf_dir) for path in sorted(conf_dir.rglob("*.yaml")))
    hidden = [str(name) for name in names if (folder / name).exists()]
    if hidden:
        remedy = "embfact has files of these names, which are found first; rename yours"
        raise ConfigError([ErrorDetail("configurations would be ignored", f"{folder}: {', '.join(hidden)}", remedy)])


@cache
def groups() -> list[str]:
    """The groups of embfact: the folders below ``conf``, e.g. ``factorization`` and ``hydra/launcher``."""
    return [path.relative_to(CONF).as_posix() for path in sorted(CONF.rglob("*")) if path.is_dir()]


def misplaced(option: str) -> str:
    """Where the user's folder has a file for an option in a folder that is not a group, and the nearest group."""
    folder = own_folder()
    name = f"{escape(option)}.yaml"
    if folder is None:
        return ""
    for path in sorted([*folder.glob(f"*/{name}"), *folder.glob(f"*/*/{name}")]):
        group = path.parent.relative_to(folder).as_posix()
        if group not in groups():
            return f"{path} is not found, since {group} is not a group: {nearest(group, groups())}"
    return ""


class _OwnFolder(SearchPathPlugin):
    """Has Hydra look into the folder wherever it composes: for a sweep, for its launcher, for ``--cfg``."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        folder = own_folder()
        if folder is not None:
            search_path.append("user", f"file://{folder}")


Plugins.instance().register(_OwnFolder)
