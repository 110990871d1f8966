"""Fewer tokens: rows that are dropped from the table, and tokens that are dropped from the tokenizer."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from embfact.embeddings.layout import Part
from embfact.factorization.base import TokenizerMethod
from embfact.trimming.selection import Criteria, scripts_of


class VocabularyTrimming(TokenizerMethod):
    """The K most frequent tokens stay, with their rows; a word of other tokens is spelled with smaller ones.

    Pruning keeps the tokenizer, and gives all other tokens one row; here each text keeps its letters, and is longer
    instead (Abdaoui et al., "Load What You Need: Smaller Versions of Multilingual BERT", SustaiNLP 2020, drop tokens by
    frequency, and leave words of others unknown). Special tokens, letters and bytes are among the K in any case.
    """

    name: ClassVar[str] = "vocabulary_trimming"
    size_name: ClassVar[str] = "kept tokens"
    has_projection: ClassVar[bool] = False

    script: str | None = Field(
        default=None, description="Unicode script of the tokens to keep: Latin, or several: Latin+Greek; null: all"
    )

    @field_validator("script")
    @classmethod
    def _script_exists(cls, value: str | None) -> str | None:
        for detail in Criteria(size=1, scripts=scripts_of(value)).errors():
            raise ValueError(str(detail))
        return value

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """The kept rows: K H parameters. The ids are those of the smaller tokenizer, so no map is stored."""
        return (Part(rank, hidden_size),)

    def rank_limit(self, vocab_size: int, hidden_size: int) -> int:
        """All tokens but one."""
        return vocab_size - 1

    def criteria(self, rank: int) -> Criteria:
        """The most frequent tokens of the script."""
        return Criteria(size=rank, scripts=scripts_of(self.script), size_option="rank")
