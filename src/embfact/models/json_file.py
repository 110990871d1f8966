"""A JSON file of a checkpoint, read or refused with a message. Light to import: no torch, no transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from embfact.errors import ModelError


def read_json(path: Path, owner: str) -> dict[str, Any]:
    """The object in a JSON file of a checkpoint of ``owner``.

    Raises:
        ModelError: If it is missing or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{owner} has no {path.name} in {path.parent}; give the directory of a saved model") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}); download or save it again") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path} does not hold a JSON object; download or save it again")
    return content
