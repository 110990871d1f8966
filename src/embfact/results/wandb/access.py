"""Which W&B project is meant, and whether there is a key for it.

Light to import: no W&B.
"""

from __future__ import annotations

import netrc
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from urllib.parse import urlsplit

from embfact.errors import ConfigError, ErrorDetail, UserError
from embfact.system.disk import may_write

PREFIX = "wandb:"
TIMEOUT = 30  # seconds that an answer may take; another number with WANDB_HTTP_TIMEOUT
_FORBIDDEN = set("\\#?%:")  # in the name of a W&B project


@dataclass(frozen=True)
class Project:
    """A W&B project.

    Attributes:
        entity: The user or the team that it belongs to.
        name: Its name.
    """

    entity: str
    name: str

    def __str__(self) -> str:
        return f"{self.entity}/{self.name}"


def project_of(place: str) -> Project:
    """The project that ``ENTITY/PROJECT`` or ``wandb:ENTITY/PROJECT`` names.

    Raises:
        UserError: If it names none.
    """
    parts = place.removeprefix(PREFIX).split("/")
    if len(parts) != 2 or not all(part and part == part.strip() and _FORBIDDEN.isdisjoint(part) for part in parts):
        raise UserError(f"{place!r} is no W&B project; give ENTITY/PROJECT, as in the address of its page")
    return Project(*parts)


def timeout() -> int:
    """Seconds that an answer of W&B's may take.

    Raises:
        UserError: If WANDB_HTTP_TIMEOUT is no whole number above 0.
    """
    given = os.environ.get("WANDB_HTTP_TIMEOUT", str(TIMEOUT))
    if not (given.isascii() and given.isdigit() and int(given)):
        raise UserError(f"WANDB_HTTP_TIMEOUT must be a whole number of seconds (found {given!r})")
    return int(given)


def home_of(run: Path) -> Path:
    """The folder that holds W&B's own, ``wandb``: the run directory, or for all runs what WANDB_DIR names."""
    return Path(os.environ.get("WANDB_DIR") or run).expanduser()


def check_home() -> None:
    """Refuse a WANDB_DIR that cannot be written to: W&B would put its files among the system's temporary ones.

    Raises:
        ConfigError: If it is set and cannot be.
    """
    given = os.environ.get("WANDB_DIR")
    if given and not may_write(home_of(Path())):
        raise ConfigError(
            [ErrorDetail("WANDB_DIR cannot be written to", given, "name another folder, or say logger=none")]
        )


def require_key() -> None:
    """Refuse to go on without a key: W&B would ask for one at the terminal.

    Raises:
        UserError: If there is none.
    """
    if not has_key():
        raise UserError("no W&B key found; run `wandb login`, or set WANDB_API_KEY")


def has_key() -> bool:
    """Whether a W&B key is set, or stored on this machine by ``wandb login``."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    own = urlsplit(os.environ.get("WANDB_BASE_URL", "")).netloc
    if own:
        return own in _machines()
    # `wandb login` names the address that it talks to, which is one of these, or that of a server of one's own.
    return any("wandb" in machine or machine.endswith("coreweave.com") for machine in _machines())


def _machines() -> Iterable[str]:
    """The machines that a password is stored for."""
    given = os.environ.get("NETRC")
    for path in [Path(given).expanduser()] if given else [Path.home() / name for name in (".netrc", "_netrc")]:
        with suppress(OSError, netrc.NetrcParseError, UnicodeDecodeError):
            return netrc.netrc(path).hosts
    return ()


def refusal(project: Project, error: Exception) -> UserError:
    """Why W&B did not do what it was asked for, in words, with the remedy."""
    told = str(error)
    if "Could not find project" in told or f"'{project}' not found" in told:
        return UserError(f"W&B has no project {project} that this key may see; look at its name and at `wandb login`")
    if "respond in time" in told:
        told = f"no answer within {timeout()} seconds"
    reason = shorten(told or type(error).__name__, width=300)
    return UserError(
        f"W&B could not be asked about {project} ({reason}); see that it can be reached (WANDB_BASE_URL, if it is a "
        "server of your own) and that the key is right (`wandb login`)"
    )
