"""What `embfact trim` did, as text or JSON; imports no torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from embfact.formatting.markdown import markdown_grid

if TYPE_CHECKING:
    from embfact.compression.trim import Trimming


def markdown(done: Trimming) -> str:
    """Two tables: sizes, and what became of texts."""
    sizes = {
        "tokens": done.tokens,
        "token table, bytes": tuple(size.bytes for size in done.embedding),
        "model, bytes": tuple(size.bytes for size in done.whole),
        "tokenizer files, bytes": done.tokenizer_bytes,
    }
    lines = [[name, f"{old:,}", f"{new:,}", _percent(new, old)] for name, (old, new) in sizes.items()]
    texts = [
        [
            *(part.name, f"{part.texts:,}", _percent(part.broken_texts, part.texts)),
            *(_percent(part.broken_tokens, part.tokens), _mean(part.tokens, part.texts)),
            *(_mean(part.tokens_after, part.texts), _percent(part.unknown, part.tokens)),
            _percent(part.unknown_after, part.tokens_after),
        ]
        for part in done.texts
    ]
    header = ["texts", "number", "with a broken token", "broken tokens", "tokens a text", "after", "unknown", "after"]
    return "\n".join(
        [
            *markdown_grid([done.model, "before", "after", "share"], lines, 1),
            "",
            f"{done.needed:,} tokens are kept whatever the texts: special ones, letters, bytes.",
            "",
            *markdown_grid(header, texts, 1),
            "",
        ]
    )


def as_json(done: Trimming) -> str:
    """All figures."""
    return json.dumps(asdict(done), indent=2) + "\n"


FORMATS: Mapping[str, Callable[[Trimming], str]] = {"md": markdown, "json": as_json}


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.2f}%"


def _mean(count: int, texts: int) -> str:
    return f"{count / max(texts, 1):.1f}"
