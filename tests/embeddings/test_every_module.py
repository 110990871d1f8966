"""What holds for every module that stands in for a token-embedding table."""

import copy
import json

import pytest
import torch
from torch import nn
from torch.nn import functional

from embfact.embeddings.build import CLASSES, build_embedding, describe_embedding
from embfact.embeddings.layout import FLOAT32
from embfact.embeddings.quantization import dequantize, quantize
from embfact.models.size import model_size
from tests.embeddings.examples import EXAMPLES, HIDDEN_SIZE, VOCAB_SIZE, numbers
from tests.helpers.storages import STORAGES, STORED

ALL_IDS = torch.arange(VOCAB_SIZE)
IDS = torch.tensor([[0, 3, 3], [12, 1, 0]])
PADDING = 4

each_class = pytest.mark.parametrize("name", CLASSES)
each_storage = pytest.mark.parametrize("storage", STORAGES, ids=str)
each_stored = pytest.mark.parametrize("storage", STORED, ids=str)


class LookupAndLogits(nn.Module):
    """Both ways through a module, as the input and the tied output of a model take them."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, ids, hidden):
        return self.module(ids), self.module.logits(hidden)


def example(name, storage=FLOAT32, dtype=torch.float64):
    module = EXAMPLES[name]().to(dtype)
    module.store_tables(storage)
    return module


def rebuilt(module, **changes):
    """The module that its description, through JSON, and its state dict make."""
    other = build_embedding(json.loads(json.dumps({**describe_embedding(module), **changes})))
    other.load_state_dict(module.state_dict(), strict=True)
    return other


def gradients(module, ids):
    """Of a scalar that weighs every number of the vectors differently."""
    module.zero_grad()
    vectors = module(ids)
    (vectors * numbers(*vectors.shape).to(vectors)).sum().backward()
    return {name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in module.named_parameters()}


def test_every_class_has_an_example():
    assert EXAMPLES.keys() == CLASSES.keys(), "give a new class an example in tests/embeddings/examples.py"


@each_class
def test_the_example_is_what_the_tests_take_it_for(name):
    module = EXAMPLES[name]()
    assert type(module) is CLASSES[name]
    assert (module.num_embeddings, module.embedding_dim, module.padding_idx) == (VOCAB_SIZE, HIDDEN_SIZE, None)
    assert module.tables()
    assert all(rows.dtype == torch.float64 and rows.matrix().any() for rows in module.tables())
    assert torch.equal(module.dense(), EXAMPLES[name]().dense())


@each_class
def test_gradients_are_those_of_finite_differences(name):
    both, hidden = LookupAndLogits(EXAMPLES[name]()), numbers(2, HIDDEN_SIZE, seed=8).requires_grad_()
    names, weights = zip(*both.named_parameters(), strict=True)

    def run(hidden, *weights):
        return torch.func.functional_call(both, dict(zip(names, weights, strict=True)), (IDS, hidden))

    assert torch.autograd.gradcheck(run, (hidden, *(weight.detach().clone().requires_grad_() for weight in weights)))


@each_class
def test_it_compiles_as_a_whole(name):
    both, hidden = LookupAndLogits(EXAMPLES[name]()), numbers(2, HIDDEN_SIZE)
    torch.compiler.reset()
    compiled = torch.compile(both, backend="aot_eager", fullgraph=True)
    for ids in (IDS, ALL_IDS, torch.tensor([PADDING])):
        found, expected = compiled(ids, hidden), both(ids, hidden)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@each_class
def test_every_weight_is_trained(name):
    found = gradients(EXAMPLES[name](), ALL_IDS)
    assert found
    assert all(gradient.any() for gradient in found.values())


@each_class
@each_storage
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_logits_are_the_product_with_the_table(name, storage, dtype):
    module = example(name, storage, dtype)
    for shape in [(HIDDEN_SIZE,), (4, HIDDEN_SIZE), (2, 3, HIDDEN_SIZE), (0, HIDDEN_SIZE)]:
        hidden = numbers(*shape, seed=7).to(dtype)
        scores = module.logits(hidden)
        assert scores.dtype == dtype
        torch.testing.assert_close(scores, hidden @ module.dense().T, rtol=1e-5, atol=1e-5)


@each_class
@each_storage
def test_the_table_is_what_is_looked_up(name, storage):
    module = example(name, storage)
    assert module.dense().shape == (VOCAB_SIZE, HIDDEN_SIZE)
    assert not module.dense().requires_grad
    torch.testing.assert_close(module(ALL_IDS), module.dense(), rtol=0, atol=1e-12)


@each_class
@each_storage
def test_ids_of_any_shape_are_looked_up(name, storage):
    module = example(name, storage)
    for shape in [(), (4,), (2, 5), (2, 3, 4), (0,), (2, 0)]:
        ids = torch.randint(0, VOCAB_SIZE, shape, generator=torch.Generator().manual_seed(1))
        expected = functional.embedding(ids, module.dense())
        for integers in (torch.int64, torch.int32):
            torch.testing.assert_close(module(ids.to(integers)), expected, rtol=0, atol=1e-12)


@each_class
@each_storage
@pytest.mark.parametrize("wrong", [-1, VOCAB_SIZE])
def test_ids_of_no_token_are_refused(name, storage, wrong):
    with pytest.raises(IndexError, match=f"token ids must be 0 to 12 .found {min(wrong, 3)} to {max(wrong, 3)}"):
        example(name, storage)(torch.tensor([3, wrong]))


@each_class
@each_storage
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_vectors_have_the_dtype_of_the_module(name, storage, dtype):
    exact, module = example(name, storage), example(name, storage, dtype)
    assert module(ALL_IDS).dtype == dtype
    torch.testing.assert_close(module(ALL_IDS).double(), exact(ALL_IDS), rtol=0.1, atol=1)


@each_class
@each_storage
def test_description_and_weights_make_the_module_again(name, storage):
    module = example(name, storage)
    state = torch.random.get_rng_state()
    other = rebuilt(module)

    assert torch.equal(torch.random.get_rng_state(), state), "building an empty module must not draw random numbers"
    assert describe_embedding(module)["class"] == name
    assert type(other) is type(module)
    assert other.spec() == module.spec()
    assert model_size(other) == model_size(module)
    assert torch.equal(other(ALL_IDS), module(ALL_IDS))


@each_class
@each_storage
def test_an_empty_module_is_all_zero(name, storage):
    empty = build_embedding(describe_embedding(example(name, storage)))
    assert not any(rows.matrix().any() for rows in empty.tables())


@each_class
@each_storage
def test_a_copy_is_equal_and_independent(name, storage):
    module = example(name, storage)
    before, other = module.dense(), copy.deepcopy(module)
    assert torch.equal(other.dense(), before)

    for tensor in other.state_dict().values():
        tensor.zero_()
    assert torch.equal(module.dense(), before)


@each_class
@each_storage
def test_a_scale_multiplies_what_a_call_gives_and_not_the_table(name, storage):
    module, plain = example(name, storage), example(name, storage)
    module.scale = 2.5
    for scaled in (module, rebuilt(module), copy.deepcopy(module)):
        torch.testing.assert_close(scaled(ALL_IDS), 2.5 * plain(ALL_IDS), rtol=0, atol=1e-12)
        assert torch.equal(scaled.dense(), plain.dense())
        assert torch.equal(scaled.logits(numbers(2, HIDDEN_SIZE)), plain.logits(numbers(2, HIDDEN_SIZE)))


@each_class
@each_stored
def test_stored_numbers_are_as_near_as_the_storage_allows(name, storage):
    module = EXAMPLES[name]()
    exact = [rows.matrix().detach() for rows in module.tables()]
    module.store_tables(storage)
    for rows, before in zip(module.tables(), exact, strict=True):
        if storage.quantized:
            expected = dequantize(quantize(before, storage), storage, before.shape[1]).double()
            steps = (2**storage.bits - 1) / 2
            assert (before - expected).abs().amax() <= before.abs().max() / steps
        else:
            expected = before.half().double()
        assert torch.equal(rows.matrix(), expected)


@each_class
@each_stored
def test_storing_is_done_once_and_takes_less(name, storage):
    # Float64 to begin with: rows as short as those of an example gain nothing over float32.
    module = EXAMPLES[name]()
    before = model_size(module)
    module.store_tables(storage)

    assert model_size(module).parameters == before.parameters
    assert model_size(module).bytes < before.bytes
    with pytest.raises(ValueError, match=f"stored as {storage} already; start from the trained model"):
        module.store_tables(storage)


@each_class
@each_stored
def test_training_can_imitate_the_storage(name, storage):
    module, plain = EXAMPLES[name](), EXAMPLES[name]()
    stored = example(name, storage)
    module.imitate_storage(storage)

    torch.testing.assert_close(module(ALL_IDS), stored(ALL_IDS), rtol=0, atol=1e-12)
    torch.testing.assert_close(module.logits(numbers(2, 6)), stored.logits(numbers(2, 6)), rtol=0, atol=1e-12)
    assert all(gradient.any() for gradient in gradients(module, ALL_IDS).values())
    module.imitate_storage(None)
    assert torch.equal(module(ALL_IDS), plain(ALL_IDS))


@each_class
def test_the_padding_id_does_not_train_what_is_its_own(name):
    plain = EXAMPLES[name]()
    module = rebuilt(plain, padding_idx=PADDING)
    others = ALL_IDS[ALL_IDS != PADDING]
    assert module.padding_idx == PADDING
    assert rebuilt(plain, padding_idx=PADDING - VOCAB_SIZE).padding_idx == PADDING
    assert torch.equal(module(ALL_IDS), plain(ALL_IDS))

    by_padding, by_others = gradients(plain, torch.tensor([PADDING])), gradients(plain, others)
    found, found_by_others = gradients(module, torch.tensor([PADDING, PADDING])), gradients(module, others)
    for weight, gradient in found.items():
        own = (by_padding[weight] != 0) & (by_others[weight] == 0)
        assert not gradient[own].any(), weight
        torch.testing.assert_close(found_by_others[weight], by_others[weight], rtol=0, atol=1e-12)


@each_class
@pytest.mark.parametrize("padding_idx", [VOCAB_SIZE, -VOCAB_SIZE - 1])
def test_a_padding_id_outside_the_vocabulary_is_refused(name, padding_idx):
    description = describe_embedding(EXAMPLES[name]())
    with pytest.raises(ValueError, match=f"{VOCAB_SIZE} tokens .found {padding_idx}"):
        build_embedding({**description, "padding_idx": padding_idx})


@each_class
def test_it_prints_its_shape(name):
    assert str(HIDDEN_SIZE) in repr(EXAMPLES[name]())
