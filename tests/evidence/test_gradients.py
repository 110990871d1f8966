"""Gradient moments are those of a plain loop over examples, whatever the batches, the padding and the random state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from embfact.data.batches import collate
from embfact.data.tokenized import Tokenized
from embfact.errors import ModelError
from embfact.evidence.gradients import Calibration, second_moments, warm_up_head

KINDS = ["bert", "roberta", "distilbert", "electra", "deberta-v2", "modernbert", "gpt2", "llama", "bart", "t5"]
PAD = 1
CALIBRATION = Calibration(rows=100, warmup_steps=0, pad_token_id=PAD)


def batches(rows: Tokenized, *groups: list[int]) -> Iterator[dict[str, torch.Tensor]]:
    return (collate(rows, group, PAD) for group in groups or [list(range(len(rows)))])


def frozen(task: Any) -> Any:
    task.model.eval().requires_grad_(False)
    return task


def loss_of(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Of one example, written out."""
    if logits.shape[-1] == 1:
        return (logits[0, 0] - label[0]) ** 2
    return -functional.log_softmax(logits[0], dim=-1)[label[0]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_labels", [3, 1])
def test_row_gradients_are_those_of_a_loop_over_single_examples(kind, num_labels, make_task, make_rows):
    rows, model = make_rows(num_labels=num_labels), make_task(kind, num_labels).model.eval()
    table = model.get_input_embeddings().weight
    expected = torch.zeros(table.shape[0], dtype=torch.float64)
    for example in batches(rows, *([row] for row in range(len(rows)))):
        label = example.pop("labels")
        model.zero_grad()
        loss_of(model(**example).logits, label).backward()
        expected += table.grad.double().square().sum(dim=1)
    found = second_moments(frozen(make_task(kind, num_labels)), batches(rows), PAD).row_gradients
    torch.testing.assert_close(found, expected, rtol=2e-4, atol=1e-6 * float(expected.max()))
    assert found[3:14].min() > 0
    assert found[14:].count_nonzero() == 0, "tokens that are in no row"


def test_a_token_that_stands_twice_in_an_example_has_one_gradient_there(make_task):
    twice = Tokenized(np.arange(1), np.array([1]), np.array([4]), np.array([5, 7, 5, 2], dtype=np.int32), None)
    model = make_task().model.eval()
    table = model.get_input_embeddings()
    vectors = table(torch.tensor([[5, 7, 5, 2]])).detach().requires_grad_()
    model(inputs_embeds=vectors).logits.log_softmax(-1)[0, 1].backward()
    gradient = vectors.grad[0].double()
    found = second_moments(frozen(make_task()), batches(twice), PAD).row_gradients
    torch.testing.assert_close(found[5], (gradient[0] + gradient[2]).square().sum(), rtol=1e-4, atol=0)
    torch.testing.assert_close(found[7], gradient[1].square().sum(), rtol=1e-4, atol=0)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "gpt2"])
def test_the_metric_is_the_mean_over_tokens_of_the_gradient_times_itself(kind, make_task, make_rows):
    rows, model = make_rows(), make_task(kind).model.eval()
    outer = []
    for example in batches(rows, *([row] for row in range(len(rows)))):
        vectors = model.get_input_embeddings()(example["input_ids"]).detach().requires_grad_()
        # A model that gets vectors cannot see which tokens are padding: GPT-2 would not find the last one.
        logits = model(inputs_embeds=vectors, attention_mask=example["attention_mask"]).logits
        (gradient,) = torch.autograd.grad(loss_of(logits, example["labels"]), vectors)
        outer += [torch.outer(g, g).double() for g in gradient[0]]
    expected = torch.stack(outer).mean(dim=0)
    found = second_moments(frozen(make_task(kind)), batches(rows), PAD).gradient_metric
    torch.testing.assert_close(found, expected, rtol=2e-4, atol=1e-6 * float(expected.max()))
    assert torch.linalg.eigvalsh(found).min() > -1e-6 * found.trace()


def test_which_examples_share_a_batch_and_how_far_they_are_padded_does_not_matter(make_task, make_rows):
    rows, task = make_rows(), frozen(make_task())
    apart = second_moments(task, batches(rows, *([row] for row in range(len(rows)))), PAD)
    together = second_moments(task, batches(rows, [5, 1, 9], [0, 2, 3, 4, 6, 7, 8], [10, 11, 12, 13]), PAD)
    torch.testing.assert_close(together.row_gradients, apart.row_gradients, rtol=1e-4, atol=1e-9)
    scale = float(apart.gradient_metric.abs().max())
    torch.testing.assert_close(together.gradient_metric, apart.gradient_metric, rtol=1e-4, atol=1e-5 * scale)
    assert together.row_gradients[PAD] == 0


def test_the_warm_up_trains_the_head_alone_and_it_learns(make_task, make_rows):
    rows, task = make_rows(count=60), make_task()
    # The label is whether a text is long, which a head can tell.
    rows = Tokenized(rows.ids, (rows.lengths > 5).astype(np.int64), rows.lengths, rows.tokens, None)
    before = {name: tensor.clone() for name, tensor in task.model.state_dict().items()}
    (batch,) = batches(rows)

    def loss() -> float:
        with torch.no_grad():
            return task.loss(task.logits(batch), batch["labels"]).item()

    frozen(task)
    first = loss()
    warm_up_head(task, (batch for _ in range(100)), steps=100)
    assert loss() < 0.9 * first
    changed = {name for name, tensor in task.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"classifier.weight", "classifier.bias"}
    assert not any(parameter.requires_grad for parameter in task.model.parameters())


def test_a_row_counts_as_much_in_a_short_last_batch(make_task, make_rows, monkeypatch):
    rows, taken = make_rows(count=14), []

    def note(self: torch.optim.AdamW, *args: object) -> None:
        taken.append(torch.cat([p.grad.flatten().clone() for group in self.param_groups for p in group["params"]]))

    monkeypatch.setattr(torch.optim.AdamW, "step", note)
    for batch in batches(rows, list(range(11)), [11, 12, 13], list(range(14))):
        warm_up_head(frozen(make_task()), iter([batch]), steps=1)
    first, last, both = taken
    torch.testing.assert_close(first + last, both, rtol=1e-4, atol=1e-7)


def test_gradients_are_taken_behind_the_warmed_up_head(make_task, make_rows):
    rows = make_rows(count=60)
    cold = CALIBRATION.measure(make_task(), rows)
    warm = Calibration(rows=100, warmup_steps=5, pad_token_id=PAD).measure(make_task(), rows)
    assert not torch.allclose(cold.row_gradients, warm.row_gradients, rtol=1e-3)


def test_the_random_state_decides_nothing_and_is_not_moved(make_task, make_rows):
    rows, calibration = make_rows(count=60), Calibration(rows=20, warmup_steps=3, pad_token_id=PAD)
    torch.manual_seed(1)
    first = calibration.measure(make_task(), rows)
    torch.manual_seed(2)
    np.random.seed(2)
    state, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()
    again = calibration.measure(make_task(), rows)
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1] == legacy).all()
    assert torch.equal(first.row_gradients, again.row_gradients)
    assert torch.equal(first.gradient_metric, again.gradient_metric)


def test_so_many_rows_are_looked_at_as_asked_for(make_task, make_rows, monkeypatch):
    rows, seen = make_rows(count=60), []
    monkeypatch.setattr("embfact.evidence.gradients.collate", lambda *a: seen.extend(a[1]) or collate(*a))
    Calibration(rows=50, warmup_steps=0, pad_token_id=PAD).measure(make_task(), rows)
    assert len(seen) == len(set(seen)) == 50
    seen.clear()
    Calibration(rows=1000, warmup_steps=0, pad_token_id=PAD).measure(make_task(), rows)
    assert sorted(seen) == list(range(60))


def test_gradients_that_are_not_finite_are_refused(make_task, make_rows):
    task = make_task()
    task.model.classifier.weight.data.fill_(float("nan"))
    with pytest.raises(ModelError, match="not finite; use a backbone with sound weights"):
        CALIBRATION.measure(task, make_rows())
