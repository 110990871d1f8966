"""Rows in floating point and stored: what a lookup gives, what they take, and what is refused."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embfact.embeddings.layout import FLOAT32, Storage
from embfact.embeddings.quantization import dequantize, quantize
from embfact.embeddings.rows import Rows
from embfact.models.size import model_size
from tests.helpers.storages import QUANTIZED, STORAGES, STORED

each_stored = pytest.mark.parametrize("storage", STORED, ids=str)


@st.composite
def matrices(draw):
    count, width = draw(st.integers(1, 6)), draw(st.integers(1, 9) | st.sampled_from([32, 33, 64, 65, 95, 130]))
    numbers = torch.randn(count, width, generator=torch.Generator().manual_seed(draw(st.integers(0, 99))))
    return numbers.to(draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16])))


@each_stored
@settings(deadline=None, max_examples=40)
@given(weight=matrices())
def test_stored_rows_give_the_same_by_number_and_as_a_matrix(storage, weight):
    rows = Rows.of(weight)
    rows.store(storage)
    numbers = torch.arange(len(weight)).flip(0)

    assert rows.matrix().shape == weight.shape
    assert rows.matrix().dtype == rows.dtype == weight.dtype
    assert torch.equal(rows(numbers), rows.matrix()[numbers])
    assert model_size(rows).parameters == weight.numel()
    assert model_size(rows).bytes == len(weight) * storage.row_bytes(weight.shape[1])
    if storage.quantized:
        assert torch.equal(rows.matrix(), dequantize(quantize(weight, storage), storage, weight.shape[1]).to(weight))
    else:
        assert torch.equal(rows.matrix(), weight.half().to(weight.dtype))


@each_stored
def test_stored_rows_follow_the_module_to_another_dtype_and_are_not_trained(storage):
    rows = Rows.of(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)))
    rows.store(storage)
    state = {name: tensor.clone() for name, tensor in rows.state_dict().items()}

    assert not any(parameter.requires_grad for parameter in rows.parameters())
    assert rows.to(torch.float64)(torch.tensor([1])).dtype == torch.float64
    for name, tensor in rows.state_dict().items():
        assert tensor.dtype == state[name].dtype, "what is kept stays as it is"
        assert torch.equal(tensor, state[name])


def test_a_float32_storage_leaves_the_rows_as_they_are():
    weight = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    rows = Rows.of(weight)
    rows.store(FLOAT32)
    assert torch.equal(rows.matrix(), weight)
    assert rows.weight.requires_grad


@each_stored
def test_space_for_stored_rows_has_the_names_shapes_and_dtypes_of_stored_ones(storage):
    stored, empty = Rows.of(torch.randn(5, 70)), Rows(5, 70)
    stored.store(storage)
    empty.allocate(storage)

    assert not empty.matrix().any()
    kept, space = stored.state_dict(), empty.state_dict()
    assert {name: (t.shape, t.dtype) for name, t in space.items()} == {n: (t.shape, t.dtype) for n, t in kept.items()}
    empty.load_state_dict(kept)
    assert torch.equal(empty.matrix(), stored.matrix())


@pytest.mark.parametrize(
    ("storage", "number", "words"),
    [
        (Storage("float16"), 7e4, "float16 cannot hold numbers above 65504 .found 70000.; use storage=float32 or int8"),
        (Storage("float16"), 1e9, "float16 cannot hold numbers above 65504 .*; use storage=float32$"),
        (Storage("float16"), 1e-5, "float16 cannot hold a table of numbers .* below 6.1e-05 .*1e-05.*storage=float32"),
        (Storage("int8"), 1e7, "int8 cannot hold numbers above 8.3.*e.06 .found 1e.07.; use storage=float32"),
        (Storage("int8"), 5e-6, "int8 cannot hold a table of numbers .* below 7.6e-06 .*5e-06.*storage=float32"),
        (Storage("int4", "row"), 5e5, "int4 cannot hold numbers above 4.9.*e.05 .found 5e.05.; use storage=float32"),
        (Storage("int4"), 4e-7, "int4 cannot hold a table of numbers .* below 4.5e-07 .*4e-07.*storage=float32"),
        (Storage("int4"), float("nan"), "int4 cannot hold numbers above .*found nan"),
    ],
    ids=str,
)
def test_numbers_that_a_storage_cannot_hold_are_refused_and_nothing_changes(storage, number, words):
    weight = torch.tensor([[number / 9, number], [0.0, number / 3]], dtype=torch.float64)
    rows = Rows.of(weight)
    with pytest.raises(ValueError, match=words):
        rows.store(storage)
    assert rows.storage == FLOAT32
    assert torch.equal(rows.weight.detach().nan_to_num(), weight.nan_to_num())


@pytest.mark.parametrize("storage", STORAGES, ids=str)
def test_zeros_are_held_by_any_storage(storage):
    rows = Rows(3, 5)
    rows.store(storage)
    assert rows.storage == storage
    assert not rows.matrix().any()


@pytest.mark.parametrize("storage", QUANTIZED, ids=str)
def test_it_prints_how_it_is_kept(storage):
    rows = Rows(3, 5)
    rows.store(storage)
    assert str(storage) in repr(rows)
