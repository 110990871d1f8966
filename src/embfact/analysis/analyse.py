"""A whole analysis, from the command to the figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
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
    """All measurements, and the texts behind them.

    Attributes:
        model: Name of the backbone.
        vocab_size: Rows V of its table.
        width: Columns H.
        words: Number of rows that are words or word pieces.
        data: Name of the data set.
        corpus: Description of the texts whose tokens are counted.
        counted: Number of their tokens, special tokens included.
        held_out: Description of the texts whose token counts weight errors; None if they are weighted by ``corpus``.
        split: Split of the texts that are clustered.
        texts: Number of those texts.
        classes: Number of their classes; None if the labels are numbers.
        tables: The dense table first.
        problems: What could not be analysed, and why.
        unmoved: Trained tables that are all but equal to those at their start, which are not shown.
    """

    model: str
    vocab_size: int
    width: int
    words: int
    data: str
    corpus: str
    counted: int
    held_out: str | None
    split: str
    texts: int
    classes: int | None
    groups: tuple[GroupLimits, ...]
    tables: tuple[TableFigures, ...]
    problems: tuple[str, ...]
    unmoved: tuple[str, ...] = ()

    @property
    def occurring(self) -> int:
        """Number of distinct words in the counted texts."""
        return sum(group.tokens for group in self.groups if group.name != UNSEEN)

    def json(self) -> str:
        """Everything as a JSON document, unrounded."""
        document = {"format": FORMAT, **asdict(self)}
        return json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def analyse(request: AnalysisRequest, say: Callable[[str], None]) -> Analysis:
    """Run an analysis without writing it; `say` gets a progress line per table.

    Raises:
        UserError: If the model, the data or the named words cannot be used, or no table is left to analyse.
    """
    bench = Workbench(request.config)
    vocabulary = read_vocabulary(bench.tokenizer, len(bench.table))
    named = find_words(bench.tokenizer, vocabulary, request.words)
    config = bench.config
    texts = reported_texts(config.data, bench.text, bench.tokenizer, config.paths.cache_dir, SEED)
    variants = Variants(bench, texts)
    measurement = Measurement(variants.dense(), bench.counts.numpy(), bench.weights.numpy(), vocabulary, named, texts)
    tables, problems = [measurement.figures(measurement.dense)], []
    start = perf_counter()
    for variant in variants.others(request):
        if isinstance(variant, str):
            problems.append(variant)
            continue
        tables.append(measurement.figures(variant))
        say(f"{variant.name}  {perf_counter() - start:.1f} s")
        start = perf_counter()
    return Analysis(
        model=config.model.label,
        vocab_size=len(bench.table),
        width=bench.table.shape[1],
        words=int(vocabulary.words.sum()),
        data=config.data.name,
        corpus=bench.corpus,
        counted=int(bench.counts.sum()),
        held_out=str(bench.held_out) if bench.held_out else None,
        split=texts.split,
        texts=len(texts.rows),
        classes=texts.classes,
        groups=tuple(GroupLimits(g.name, len(g.tokens), g.most, g.least, g.share) for g in measurement.groups),
        tables=tuple(tables),
        problems=tuple(problems),
        unmoved=tuple(variants.unmoved),
    )
