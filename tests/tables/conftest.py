"""Made-up records, those of the records' own tests."""

from __future__ import annotations

from tests.records.conftest import make

__all__ = ["make"]
