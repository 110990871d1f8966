"""The baselines of a task equal what scikit-learn gives by itself, and are measured once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge

from embfact.data.tokenized import Tokenized
from embfact.tasks import reference
from embfact.tasks.reference import baselines

VOCABULARY = 30


def rows(texts: list[list[int]], labels: np.ndarray) -> Tokenized:
    lengths = np.array([len(text) for text in texts])
    return Tokenized(np.arange(len(texts)), labels, lengths, np.concatenate(texts).astype(np.int32), None)


def made_up(count: int, seed: int, target: str) -> tuple[list[list[int]], np.ndarray]:
    """Texts whose label is told by the tokens below 6, with noise."""
    random = np.random.default_rng(seed)
    texts = [random.integers(0, VOCABULARY, random.integers(1, 12)).tolist() for _ in range(count)]
    signal = np.array([sum(token < 6 for token in text) for text in texts]) + random.normal(0, 0.3, count)
    return texts, signal if target == "float" else np.digitize(signal, [0.5, 1.5])


def words(texts: list[list[int]]) -> list[str]:
    return [" ".join(f"t{token}" for token in text) for text in texts]


def test_classes_are_those_of_logistic_regression_and_of_the_largest_class(tmp_path: Path) -> None:
    (train, labels), (report, wanted) = made_up(300, 0, "class"), made_up(90, 1, "class")
    found = baselines(rows(train, labels), {"dev": rows(report, wanted)}, ["accuracy", "matthews"], 3, tmp_path)["dev"]
    bags = TfidfVectorizer(binary=True, token_pattern=r"\S+").fit(words(train))
    model = LogisticRegression(max_iter=1000).fit(bags.transform(words(train)), labels)
    expected = (model.predict(bags.transform(words(report))) == wanted).mean()
    assert found["bag_of_tokens"]["accuracy"] == pytest.approx(expected, abs=0.012)
    assert found["majority"]["accuracy"] == pytest.approx((wanted == np.bincount(labels).argmax()).mean())
    assert found["majority"]["matthews"] == 0
    assert found["bag_of_tokens"]["accuracy"] > found["majority"]["accuracy"] + 0.1


def test_targets_are_those_of_ridge_regression_and_a_mean_has_no_correlation(tmp_path: Path) -> None:
    (train, labels), (report, wanted) = made_up(300, 0, "float"), made_up(90, 1, "float")
    found = baselines(rows(train, labels), {"dev": rows(report, wanted)}, ["pearson"], 1, tmp_path)["dev"]
    bags = TfidfVectorizer(binary=True, token_pattern=r"\S+").fit(words(train))
    expected = Ridge().fit(bags.transform(words(train)), labels).predict(bags.transform(words(report)))
    assert found["bag_of_tokens"]["pearson"] == pytest.approx(pearsonr(expected, wanted).statistic, abs=1e-3)
    assert found["majority"] == {"pearson": None}


def test_they_are_measured_once_for_some_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, report = rows(*made_up(60, 0, "class")), {"dev": rows(*made_up(20, 1, "class"))}
    first = baselines(train, report, ["accuracy"], 3, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(reference, "_measure", lambda *_: pytest.fail("measured again"))
        assert baselines(train, report, ["accuracy"], 3, tmp_path) == first
    other = rows(*made_up(60, 2, "class"))
    baselines(other, report, ["accuracy"], 3, tmp_path)
    assert len(list((tmp_path / "references").glob("*.safetensors"))) == 2


def test_reported_rows_are_never_learned_from(tmp_path: Path) -> None:
    """Labels of the reported rows that say the opposite change no prediction: the two accuracies add up to one."""
    texts, labels = made_up(200, 0, "class")
    labels, (report, wanted) = (labels > 0).astype(int), made_up(50, 1, "class")
    wanted = (wanted > 0).astype(int)
    straight, turned = (
        baselines(rows(texts, labels), {"dev": rows(report, codes)}, ["accuracy"], 2, tmp_path)["dev"]
        for codes in (wanted, 1 - wanted)
    )
    for name in ("majority", "bag_of_tokens"):
        assert straight[name]["accuracy"] + turned[name]["accuracy"] == pytest.approx(1)


def test_of_very_many_rows_some_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "MOST_ROWS", 40)
    fitted = []
    monkeypatch.setattr(
        reference, "_fitted", lambda bags, *_: fitted.append(bags.shape) or (lambda bags: np.ones((bags.shape[0], 3)))
    )
    baselines(rows(*made_up(100, 0, "class")), {"dev": rows(*made_up(9, 1, "class"))}, ["accuracy"], 3, tmp_path)
    assert fitted == [(40, VOCABULARY)]


def test_rows_of_one_class_alone_are_all_predicted_so(tmp_path: Path) -> None:
    texts, _ = made_up(30, 0, "class")
    train = rows(texts, np.ones(30, dtype=int))
    found = baselines(train, {"dev": rows([[1], [2]], np.array([1, 0]))}, ["accuracy"], 2, tmp_path)
    assert found == {"dev": {"majority": {"accuracy": 0.5}, "bag_of_tokens": {"accuracy": 0.5}}}
