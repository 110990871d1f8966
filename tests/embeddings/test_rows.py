"""Rows in floating point and quantized: what a stored number may differ by, and how codes are packed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embfact.embeddings.rows import Rows, dequantize, imitate, quantize
from embfact.factorization.layout import row_bytes
from embfact.models.size import model_size

LEVELS = {"int8": 127, "int4": 7}
FEW = settings(deadline=None, max_examples=40)
each_code = pytest.mark.parametrize("storage", LEVELS)
each_stored = pytest.mark.parametrize("storage", ["float16", *LEVELS])


@st.composite
def matrices(draw, smallest=-45, largest=37):
    """Matrices of odd and even widths whose rows have sizes from 10^smallest to 10^largest, or are all zero."""
    count, width = draw(st.integers(0, 6)), draw(st.integers(1, 9))
    sizes = draw(st.lists(st.none() | st.integers(smallest, largest), min_size=count, max_size=count))
    scale = torch.tensor([0.0 if size is None else 10.0**size for size in sizes], dtype=torch.float64)
    random = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    numbers = torch.randn(count, width, generator=random, dtype=torch.float64) * scale.unsqueeze(1)
    return numbers.to(draw(st.sampled_from([torch.float32, torch.float64])))


@each_code
@FEW
@given(weight=matrices())
def test_a_number_is_within_half_a_step_of_its_code(storage, weight):
    codes, scales = quantize(weight, storage)
    back = dequantize(codes, scales, storage, weight.shape[1]).double()

    # Beyond half a step: the rounding of code times scale to float32, and that of a scale below the smallest normal
    # float32, which is rounded to a multiple of 2^-149. It matters to rows of numbers below 1e-36 only.
    bound = scales.double() * (0.5 + LEVELS[storage] * 2.0**-23) + LEVELS[storage] * 2.0**-150
    assert ((back - weight.double()).abs() <= bound.unsqueeze(1)).all()


@each_code
@FEW
@given(weight=matrices(smallest=-30))
def test_the_largest_number_of_a_row_and_its_sign_are_kept(storage, weight):
    codes, scales = quantize(weight, storage)
    mirrored = quantize(-weight, storage)
    back = dequantize(codes, scales, storage, weight.shape[1])

    torch.testing.assert_close(back.abs().amax(1), weight.abs().amax(1).float(), rtol=1e-6, atol=0)
    assert torch.equal(dequantize(*mirrored, storage, weight.shape[1]), -back)
    assert torch.equal(scales > 0, weight.any(dim=1))
    assert not back[~weight.any(dim=1)].any()


@each_stored
@FEW
@given(weight=matrices(smallest=-30, largest=3))
def test_stored_rows_give_the_same_by_number_and_as_a_matrix(storage, weight):
    rows = Rows.of(weight)
    rows.store(storage)
    numbers = torch.arange(len(weight)).flip(0)

    assert rows.matrix().shape == weight.shape
    assert rows.matrix().dtype == rows.dtype == weight.dtype
    assert torch.equal(rows(numbers), rows.matrix()[numbers])
    assert model_size(rows).parameters == weight.numel()
    assert model_size(rows).bytes == len(weight) * row_bytes(weight.shape[1], storage)
    if storage == "float16":
        assert torch.equal(rows.matrix(), weight.half().to(weight.dtype))


@each_stored
@FEW
@given(weight=matrices(smallest=-30, largest=3))
def test_imitated_storage_has_the_values_of_the_stored_rows_and_the_gradient_of_the_weights(storage, weight):
    rows = Rows.of(weight)
    rows.store(storage)
    trained = weight.clone().requires_grad_()
    imitated = imitate(trained, storage)
    imitated.sum().backward()

    torch.testing.assert_close(imitated.detach(), rows.matrix(), rtol=1e-5, atol=0)
    assert torch.equal(trained.grad, torch.ones_like(weight))


@each_code
@FEW
@given(data=st.data(), width=st.integers(1, 9))
def test_whole_numbers_of_the_range_of_the_codes_come_back_exactly(storage, data, width):
    whole = st.integers(-LEVELS[storage], LEVELS[storage])
    row = [LEVELS[storage], *data.draw(st.lists(whole, min_size=width - 1, max_size=width - 1))]
    codes, scales = quantize(torch.tensor([row], dtype=torch.float64), storage)

    assert scales.tolist() == [1.0]
    assert codes.shape == (1, width if storage == "int8" else (width + 1) // 2)
    assert dequantize(codes, scales, storage, width).tolist() == [row]


def test_two_int4_codes_share_a_byte_the_even_column_in_the_low_half():
    codes, scales = quantize(torch.tensor([[7.0, -7.0, 3.0], [0.0, 0.0, 0.0]]), "int4")
    assert codes.dtype == torch.uint8
    assert codes.tolist() == [[15 | 1 << 4, 11 | 0 << 4], [8 | 8 << 4, 8 | 0 << 4]]
    assert scales.tolist() == [1.0, 0.0]


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
    rows.store("float32")
    assert torch.equal(rows.matrix(), weight)
    assert rows.weight.requires_grad


@pytest.mark.parametrize(("storage", "number"), [("float16", 7e4), ("int8", 1e41), ("int4", 1e40)])
def test_numbers_too_large_for_a_storage_are_refused_and_nothing_changes(storage, number):
    rows = Rows.of(torch.tensor([[1.0, number], [2.0, 3.0]], dtype=torch.float64))
    with pytest.raises(ValueError, match=rf"{storage} cannot hold numbers above .*; use storage=float32"):
        rows.store(storage)
    assert rows.storage == "float32"
    assert rows(torch.tensor([0])).tolist() == [[1.0, number]]
