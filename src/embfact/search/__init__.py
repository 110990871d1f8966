"""Options of a sweep tuned before its runs: one study for each data set, model, method and size, all of one length."""

from embfact.search.plan import check_search
from embfact.search.tuning import describe, known, tune

__all__ = ["check_search", "describe", "known", "tune"]
