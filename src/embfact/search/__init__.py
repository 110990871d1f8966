"""Tuning options before a sweep: one study per data set, model, method and size, all with the same number of trials."""

from embfact.search.choice import choose
from embfact.search.earlier_sweep import with_best
from embfact.search.plan import check_search
from embfact.search.tuning import describe, known, tune

__all__ = ["check_search", "choose", "describe", "known", "tune", "with_best"]
