"""A whole analysis: from a command to its figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

from embfact.analysis.clusters import SEED
from embfact.analysis.figures import TableFigures
from embfact.analysis.frequency import UNSEEN
from embfact.analysis.measure import Measurement
from embfact.analysis.request import AnalysisRequest
from embfact.analysis.texts import reported_texts
from embfact.analysis.variants import Variants
from embfact.analysis.vocabulary import find_words, read_vocabulary
from embfact.compression.factorize import Workbench

FORMAT = 1  # of the JSON document


@dataclass(frozen=True)
class GroupLimits:
    """A frequency group; see `embfact.analysis.frequency.Group`."""

    name: str
    tokens: int
    most: int
    least: int
    share: float


@dataclass(frozen=True)
class Analysis:
    """What was measured, and on what.

    Attributes:
        model: Name of the backbone.
        vocab_size: Rows V of its table.
        width: Columns H.
        words: Rows that are words or pieces of words.
        data: Name of the data set.
        corpus: In words, the texts whose tokens are counted.
        counted: Tokens in them, special ones included.
        split: Split of the texts that are clustered.
        texts: How many there are.
        classes: How many classes they have; None where the labels are numbers.
        groups: Frequency groups.
        tables: The dense table first.
        problems: In words, what could not be analysed.
    """

    model: str
    vocab_size: int
    width: int
    words: int
    data: str
    corpus: str
    counted: int
    split: str
    texts: int
    classes: int | None
    groups: tuple[GroupLimits, ...]
    tables: tuple[TableFigures, ...]
    problems: tuple[str, ...]

    @property
    def occurring(self) -> int:
        """Different words that occur in the texts that are counted."""
        return sum(group.tokens for group in self.groups if group.name != UNSEEN)

    def json(self) -> str:
        """Everything as a JSON document; no figure is rounded."""
        document = {"format": FORMAT, **asdict(self)}
        return json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def analyse(request: AnalysisRequest, say: Callable[[str], None]) -> Analysis:
    """Do what a command asks for, but for writing it.

    Args:
        request: The command.
        say: Takes a line for each table.

    Raises:
        UserError: If model, data or named words cannot be used, or no table is left to analyse.
    """
    bench = Workbench(request.config)
    vocabulary = read_vocabulary(bench.tokenizer, len(bench.table))
    named = find_words(bench.tokenizer, vocabulary, request.words)
    config = bench.config
    texts = reported_texts(config.data, bench.text, bench.tokenizer, config.paths.cache_dir, SEED)
    variants = Variants(bench, texts)
    measurement = Measurement(variants.dense(), bench.counts.numpy(), vocabulary, named, texts)
    tables, problems = _measured(request, variants, measurement, say)
    counted = config.evidence.file
    return Analysis(
        model=config.model.label,
        vocab_size=len(bench.table),
        width=bench.table.shape[1],
        words=int(vocabulary.words.sum()),
        data=config.data.name,
        corpus=Path(counted).name if counted else f"{len(bench.train):,} rows of {config.data.name}",
        counted=int(bench.counts.sum()),
        split=texts.split,
        texts=len(texts.rows),
        classes=texts.classes,
        groups=tuple(GroupLimits(g.name, len(g.tokens), g.most, g.least, g.share) for g in measurement.groups),
        tables=tuple(tables),
        problems=tuple(problems),
    )


def _measured(
    request: AnalysisRequest, variants: Variants, measurement: Measurement, say: Callable[[str], None]
) -> tuple[list[TableFigures], list[str]]:
    """The figures of every table, the dense one first, and in words what could not be made."""
    tables, problems = [measurement.figures(measurement.dense)], []
    start = perf_counter()
    for variant in variants.others(request):
        if isinstance(variant, str):
            problems.append(variant)
            continue
        tables.append(measurement.figures(variant))
        say(f"{variant.name}  {perf_counter() - start:.1f} s")
        start = perf_counter()
    return tables, problems
