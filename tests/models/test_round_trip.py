"""Each method that counts tokens or keeps more than two factors: compressed, trained, saved, and loaded again."""

from __future__ import annotations

import pytest
import torch

from embfact.factorization.base import Evidence
from embfact.factorization.evd import EVD
from embfact.factorization.group_svd import GroupSVD
from embfact.factorization.hybrid_svd import HybridSVD
from embfact.models.checkpoint import load, save
from embfact.models.compress import compress, embedding_tensors
from embfact.models.size import model_size, saved_bytes

RANK = 3
EVIDENCE = Evidence(token_counts=torch.arange(60.0).flip(0).square())
# The method, and the bytes of its saved embedding for 60 tokens, 16 columns and rank 3.
METHODS = {
    EVD(): 4 * 3 * 76,
    HybridSVD(exact_rows=8): 4 * (3 * 76 + 8 * 16) + 4 * 8,
    # Groups of 20 and 40 tokens share 3 * 76 - 60 numbers out: 3 axes of the frequent one, then 1 of the other.
    GroupSVD(groups=2): 4 * (3 * 36 + 1 * 56) + 4 * 60,
}
each_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


@pytest.fixture
def compressed(make_model):
    """A BERT of 60 tokens and 16 columns, its table replaced by a method."""

    def compress_by(method):
        model = make_model("bert")
        compress(model, method, RANK, evidence=EVIDENCE)
        return model

    return compress_by


@each_method
def test_a_loaded_model_gives_the_logits_of_the_saved_one(method, compressed, make_tokenizer, logits_of, tmp_path):
    model = compressed(method)
    save(model, make_tokenizer(), tmp_path / "saved")
    loaded, _ = load(tmp_path / "saved")

    torch.testing.assert_close(logits_of(loaded), logits_of(model), atol=1e-6, rtol=0)
    before, after = model.state_dict(), loaded.state_dict()
    assert {name: (t.dtype, t.shape) for name, t in before.items()} == {n: (t.dtype, t.shape) for n, t in after.items()}
    assert all(torch.equal(before[name], after[name]) for name in before)


@each_method
def test_the_saved_file_has_the_size_of_the_formula(method, compressed, make_tokenizer, tmp_path):
    model = compressed(method)
    save(model, make_tokenizer(), tmp_path / "saved")

    names = embedding_tensors(model)
    size = model_size(model, names)

    assert size.bytes == saved_bytes(tmp_path / "saved" / "model.safetensors", names)
    assert size.bytes == METHODS[method] < 4 * 60 * 16
    assert size.parameters <= method.parameters(60, 16, RANK)


@each_method
def test_a_loaded_model_trains_all_of_its_embedding_but_the_padding_row(
    method, compressed, make_tokenizer, logits_of, tmp_path
):
    save(compressed(method), make_tokenizer(), tmp_path / "saved")
    model, _ = load(tmp_path / "saved")
    embedding = model.get_input_embeddings()
    before = logits_of(model)
    optimizer = torch.optim.SGD(embedding.parameters(), lr=0.5)

    ids = torch.arange(60).reshape(3, 20)
    model.train()(input_ids=ids, labels=torch.tensor([1, 0, 1])).loss.backward()
    optimizer.step()

    assert all(parameter.grad.abs().sum() > 0 for parameter in embedding.parameters())
    assert not torch.allclose(logits_of(model), before)
    embedding.zero_grad()
    embedding(torch.tensor([0, 0])).sum().backward()
    rows = [p.grad for name, p in embedding.named_parameters() if "projection" not in name]
    assert all(grad.count_nonzero() == 0 for grad in rows)
