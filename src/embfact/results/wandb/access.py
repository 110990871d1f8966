"""Access to a W&B project: its name, the key, and errors.

Light to import: no W&B.
"""

from __future__ import annotations

import json
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
SWEEP = ".tracked.json"  # beside the run directories: what is known of the W&B run that shows the sweep
TIMEOUT = 30  # seconds to wait for an answer, unless WANDB_HTTP_TIMEOUT is set
_FORBIDDEN = set("\\#?%:")  # in the name of a W&B project


@dataclass(frozen=True)
class Project:
    """A W&B project; its entity is the user or team that owns it."""

    entity: str
    name: str

    def __str__(self) -> str:
        return f"{self.entity}/{self.name}"


def project_of(place: str) -> Project:
    """The project that ``ENTITY/PROJECT`` or ``wandb:ENTITY/PROJECT`` names.

    Raises:
        UserError: If it is not such a name.
    """
    parts = place.removeprefix(PREFIX).split("/")
    if len(parts) != 2 or not all(part and part == part.strip() and _FORBIDDEN.isdisjoint(part) for part in parts):
        raise UserError(f"{place!r} is not a W&B project; give ENTITY/PROJECT, as in the address of its page")
    return Project(*parts)


def timeout() -> int:
    """Seconds to wait for an answer from W&B.

    Raises:
        UserError: If WANDB_HTTP_TIMEOUT is not a positive integer.
    """
    given = os.environ.get("WANDB_HTTP_TIMEOUT", str(TIMEOUT))
    if not (given.isascii() and given.isdigit() and int(given)):
        raise UserError(f"WANDB_HTTP_TIMEOUT must be a whole number of seconds (found {given!r})")
    return int(given)


def home_of(run: Path) -> Path:
    """The parent of W&B's folder ``wandb``: WANDB_DIR, or else the run directory."""
    return Path(os.environ.get("WANDB_DIR") or run).expanduser()


def sweep_state(folder: Path) -> dict[str, str]:
    """The ``id`` of the run that shows the sweep in a folder, and a digest of its ``content``; empty without one."""
    with suppress(OSError, ValueError):
        return dict(json.loads((folder / SWEEP).read_bytes()))
    return {}


def check_home() -> None:
    """Refuse a WANDB_DIR that is not writable: W&B would fall back to the system's temporary folder.

    Raises:
        ConfigError: If it is set and not writable.
    """
    given = os.environ.get("WANDB_DIR")
    if given and not may_write(home_of(Path())):
        raise ConfigError(
            [ErrorDetail("WANDB_DIR is not writable", given, "choose another folder, or set logger=none")]
        )


def require_key() -> None:
    """Refuse to continue without a key: W&B would prompt for one.

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
    # `wandb login` stores the host that it talks to: one of these, or a self-hosted server.
    return any("wandb" in machine or machine.endswith("coreweave.com") for machine in _machines())


def _machines() -> Iterable[str]:
    """The hosts with a stored password."""
    given = os.environ.get("NETRC")
    for path in [Path(given).expanduser()] if given else [Path.home() / name for name in (".netrc", "_netrc")]:
        with suppress(OSError, netrc.NetrcParseError, UnicodeDecodeError):
            return netrc.netrc(path).hosts
    return ()


def refusal(project: Project, error: Exception) -> UserError:
    """A W&B failure as an error with a remedy."""
    message = str(error)
    if "Could not find project" in message or f"'{project}' not found" in message:
        return UserError(f"W&B has no project {project} that this key can access; check the name and `wandb login`")
    if "respond in time" in message:
        message = f"no answer within {timeout()} seconds"
    reason = shorten(message or type(error).__name__, width=300)
    return UserError(
        f"W&B request for {project} failed ({reason}); check that W&B is reachable (WANDB_BASE_URL for a self-hosted "
        "server) and that the key is valid (`wandb login`)"
    )
