"""Which options decide a figure: the permutation importance of a random forest (Breiman, 2001), as W&B shows it.

A forest predicts the figure of runs that it has not seen from their options. The importance of an option is how much
worse the prediction becomes (in R², the share of the variance that it explains) when the option's values are shuffled.
It is not a test, and options that change together share their importance.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from embfact.results.differences import flat
from embfact.results.result_table import Column, ResultTable
from embfact.runs.record import RunRecord

Values = dict[str, Any]

FEWEST_RUNS = 8  # fewer cannot teach a forest anything
MOST_RUNS = 300  # more make the page slow to write, not the answer better
_FOLDS, _TREES, _REPEATS = 4, 25, 3
_APART = frozenset(
    {"data", "data_fingerprint", "model_fingerprint"}
)  # equal for all runs of a figure, or the backbone's


def importances(table: ResultTable) -> list[Values]:
    """The importance of the options for each figure of a table; figures of too few runs or options are left out.

    Returns:
        For each figure ``data``, ``split``, ``metric``, the number of ``runs``, the ``score`` (R² on unseen runs, mean
        over folds), and the ``options`` by descending importance as (name, mean, standard deviation over folds);
        no options if the forest predicts no better than the mean.
    """
    finished = {column: [run for row in table.rows for run in row.finished(column.data)] for column in table.columns}
    return [found for column, runs in finished.items() if (found := importance(runs, column))]


def importance(runs: Sequence[RunRecord], column: Column) -> Values | None:
    """The importance of the options for one figure; None for fewer than `FEWEST_RUNS` runs or two varying options."""
    runs = [run for run in runs if run.metrics.get(column.split, {}).get(column.metric) is not None]
    options = _varying([_options(run) for run in runs])
    figures = [float(run.metrics[column.split][column.metric] or 0.0) for run in runs]
    if len(runs) < FEWEST_RUNS or len(options) < 2 or len(set(figures)) < 2:
        return None
    import numpy as np
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import KFold

    features, target = np.array(list(options.values())).T, np.array(figures)
    order = np.random.default_rng(0).permutation(len(runs))[:MOST_RUNS]
    features, target = features[order], target[order]
    scores, drops = [], []
    for known, unseen in KFold(_FOLDS).split(features):
        forest = RandomForestRegressor(_TREES, random_state=0).fit(features[known], target[known])
        scores.append(forest.score(features[unseen], target[unseen]))
        drop = permutation_importance(forest, features[unseen], target[unseen], n_repeats=_REPEATS, random_state=0)
        drops.append(drop.importances_mean)
    score, means, deviations = float(np.mean(scores)), np.mean(drops, axis=0), np.std(drops, axis=0, ddof=1)
    ranked = sorted(zip(options, means, deviations, strict=True), key=lambda one: -one[1])
    return {
        "data": column.data.label,
        "split": column.split,
        "metric": column.metric,
        "runs": len(order),
        "score": round(score, 4),
        "options": [(name, round(float(mean), 4), round(float(std), 4)) for name, mean, std in ranked if score > 0],
    }


def _options(run: RunRecord) -> Values:
    """All that decided a run's result, by dotted name."""
    options = flat({name: value for name, value in run.science.items() if name not in _APART})
    return {"backbone": run.model.name, "rank": run.method.rank, **options}


def _varying(known: Sequence[Values]) -> dict[str, list[float]]:
    """The options that differ between runs, as numbers for a forest; of those that change together, the first."""
    found: dict[str, list[float]] = {}
    seen: set[tuple[int, ...]] = set()
    for name in dict.fromkeys(name for options in known for name in options):
        values = [options.get(name) for options in known]
        texts = [json.dumps(value, sort_keys=True) for value in values]
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        alike = tuple(places[text] for text in texts)
        if len(places) > 1 and alike not in seen:
            seen.add(alike)
            measured = all(value is None or isinstance(value, int | float) for value in values)
            found[name] = [math.nan if value is None else value for value in values] if measured else list(alike)
    return found
