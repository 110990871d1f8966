"""dashboard/facts.py: documents told as differences are told whole."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from embfact.results.dashboard.facts import flat, share

NAMES = st.text(st.characters(exclude_characters=".", exclude_categories=["Cs"]), min_size=1, max_size=3)
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
DOCUMENTS = st.recursive(LEAVES, lambda below: st.dictionaries(NAMES, below, max_size=4), max_leaves=8)


def rebuilt(facts, place):
    leaves = {key: facts.own[place].get(number, facts.usual[number]) for number, key in enumerate(facts.keys)}
    return {key: leaf[0] for key, leaf in leaves.items() if leaf}


@given(st.lists(st.dictionaries(NAMES, DOCUMENTS, max_size=4), max_size=5))
def test_every_document_comes_back(documents):
    facts = share(documents)
    for place, document in enumerate(documents):
        # As JSON, where true is not 1.
        assert json.dumps(rebuilt(facts, place), sort_keys=True) == json.dumps(flat(document), sort_keys=True)


def test_equal_documents_cost_nothing():
    facts = share([{"trainer": {"epochs": 3}, "rank": rank} for rank in (8, 8, 64)])
    assert facts.own == ({}, {}, {facts.keys.index("rank"): [64]})


def test_null_is_a_value_and_a_missing_key_is_none():
    facts = share([{"a": None}, {"a": None}, {}])
    assert (facts.usual, facts.own) == (([None],), ({}, {}, {0: []}))
