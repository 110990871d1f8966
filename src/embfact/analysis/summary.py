"""The figures of an analysis as text tables with notes, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from embfact.analysis.analyse import Analysis
from embfact.analysis.clusters import CLUSTERS
from embfact.analysis.figures import GroupFigures
from embfact.analysis.measure import QUERIES
from embfact.analysis.variants import MOVED
from embfact.formatting.markdown import markdown_grid
from embfact.formatting.numbers import short
from embfact.results.table.cells import UNDEFINED


@dataclass(frozen=True)
class Grid:
    """A text table; the first `texts` columns hold words, the others figures."""

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    texts: int = 1


def markdown(analysis: Analysis) -> str:
    """The main tables and the notes."""
    blocks = [
        f"{grid.title}\n\n" + "\n".join(markdown_grid(grid.header, grid.lines, grid.texts)) for grid in grids(analysis)
    ]
    return "\n\n".join([*blocks, "\n".join(f"- {note}" for note in notes(analysis))]) + "\n"


def grids(analysis: Analysis) -> list[Grid]:
    """The main tables: overview, error and recall by frequency, and texts."""
    return [
        _overview(analysis),
        _by_group(analysis, "Relative squared error by token frequency", lambda group: _lost(group.error)),
        _by_group(analysis, "Neighbours kept (recall@10) by token frequency", lambda group: figure(group.recall)),
        _texts(analysis),
    ]


def notes(analysis: Analysis) -> list[str]:
    """The meaning of the figures, and what is missing."""
    return [
        f"Token table of {analysis.model}, {analysis.vocab_size:,} x {analysis.width}; {analysis.words:,} rows are "
        f"words or word pieces, of which {analysis.occurring:,} occur in {analysis.corpus} ({analysis.counted:,} "
        "tokens, special tokens included).",
        "Effective rank: exp of the entropy of the singular values. Weighted rank: the same with rows scaled by the "
        "square root of their counts. Error: squared error divided by the squared norm of the dense table. Weighted "
        f"error: with each row weighted by its count in {analysis.held_out or 'the same texts'}. Word error: the "
        "weighted error without special tokens.",
        "Deciles: tenths of the words that occur, 1 the most frequent. Recall@10: share of the 10 nearest words by "
        f"cosine that are the same as in the dense table, mean over {QUERIES} words drawn from each group, or over all "
        "if there are fewer; in the first table, mean over the words that occur.",
        "Anisotropy: mean cosine of two different words, or of two texts. Same clusters: adjusted Rand index between "
        f"{CLUSTERS} clusters of the words that occur and those of the dense table. For the dense table: with its own "
        "clusters at another seed, the most that can be expected.",
        _note_of_texts(analysis),
        *_unmoved(analysis.unmoved),
        *(f"Left out: {problem}" for problem in analysis.problems),
    ]


def _unmoved(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    change = f"by less than {MOVED:g} of its squared norm"
    return [f"Not shown at start, since training changed the table {change}: {', '.join(names)}."]


def _note_of_texts(analysis: Analysis) -> str:
    texts = f"Texts: {analysis.texts:,} of {analysis.data}, split {analysis.split}"
    if analysis.classes is None:
        return f"{texts}; their labels are numbers, so clusters are not compared with them."
    return (
        f"{texts}, each as the mean of its tokens' rows (without special tokens) and as the mean of the backbone's "
        f"last hidden states with this table. {analysis.classes} clusters against {analysis.classes} classes: "
        "adjusted Rand index (ARI) and normalized mutual information (NMI), 0 if unrelated and 1 if equal."
    )


def _overview(analysis: Analysis) -> Grid:
    header = ["table", "parameters", "effective rank", "weighted rank", "error", "weighted error", "word error"]
    header += ["recall@10", "anisotropy", "same clusters"]
    lines = tuple(
        (
            table.name,
            short(table.parameters),
            f"{table.spectrum.effective_rank:.1f}",
            f"{table.weighted_spectrum.effective_rank:.1f}",
            *map(_lost, (table.error, table.weighted_error, table.word_error)),
            *map(figure, (table.recall, table.anisotropy, table.same_clusters.ari)),
        )
        for table in analysis.tables
    )
    return Grid("What each table keeps", tuple(header), lines)


def _by_group(analysis: Analysis, title: str, cell: Callable[[GroupFigures], str]) -> Grid:
    compared = analysis.tables[1:]
    lines = tuple(
        (
            group.name,
            f"{group.tokens:,}",
            f"{group.most:,} to {group.least:,}",
            f"{100 * group.share:.1f} %",
            *(cell(table.groups[place]) for table in compared),
        )
        for place, group in enumerate(analysis.groups)
    )
    header = ("decile", "words", "counts", "occurrences", *(table.name for table in compared))
    return Grid(title, header, lines)


def _texts(analysis: Analysis) -> Grid:
    kinds = list(analysis.tables[0].texts)
    header = ("table", *(f"{what} {kind}" for kind in kinds for what in ("ARI", "NMI", "anisotropy")))
    lines = []
    for table in analysis.tables:
        cells = [table.name]
        for kind in kinds:
            found = table.texts[kind].clusters
            cells += [figure(found.ari if found else None), figure(found.nmi if found else None)]
            cells.append(figure(table.texts[kind].anisotropy))
        lines.append(tuple(cells))
    return Grid("Texts: clusters against labels, and anisotropy", header, tuple(lines))


def _lost(error: float | None) -> str:
    # Quantization or a short training changes a table by far less than a thousandth.
    return figure(error) if not error or error >= 0.001 else f"{error:.1e}"


def figure(value: float | None) -> str:
    """A figure with three decimals, or a dash."""
    # Rounded first, so that -0.0001 becomes 0.000 and not -0.000.
    return UNDEFINED if value is None else f"{round(value, 3) + 0.0:.3f}"
