"""Codes of few bits: how far a number may be from what comes back, that a search finds the range, and the layout."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from embfact.embeddings.layout import Storage
from embfact.embeddings.quantization import dequantize, imitate, pack, quantize, unpack
from embfact.models.backbones import resolve
from tests.helpers.storages import QUANTIZED, STORED

FEW = settings(deadline=None, max_examples=40)
STEPS = {"int8": 255, "int4": 15}
SMALLEST = 2.0**-24  # the smallest float16 above zero
quantized = st.sampled_from(QUANTIZED)


SHAPES = (lambda x: x, torch.abs, lambda x: -x.abs() - 3, lambda x: x**3)  # both signs, one sign, off zero, peaks


@st.composite
def matrices(draw, smallest=-12, largest=5):
    """Matrices whose largest numbers of a row are from 10^smallest to 10^largest, or all zero."""
    count, width = draw(st.integers(0, 6)), draw(st.integers(1, 9) | st.sampled_from([32, 33, 64, 65, 95, 130]))
    sizes = draw(st.lists(st.none() | st.integers(smallest, largest), min_size=count, max_size=count))
    scale = torch.tensor([0.0 if size is None else 10.0**size for size in sizes], dtype=torch.float64)
    random = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    numbers = draw(st.sampled_from(SHAPES))(torch.randn(count, width, generator=random, dtype=torch.float64))
    numbers = numbers / numbers.abs().amax(dim=1, keepdim=True) * scale.unsqueeze(1)
    return numbers.to(draw(st.sampled_from([torch.float32, torch.float64])))


def by_hand(kept, storage, width):
    """What ONNX Runtime's GatherBlockQuantized computes of codes, scales and zero points, in numpy and float64."""

    def opened(packed, count):
        if storage.bits == 8:
            return packed.numpy().astype(np.int64)
        low, high = packed.numpy() & 15, packed.numpy() >> 4
        return np.dstack([low, high]).reshape(len(packed), 2 * packed.shape[1])[:, :count].astype(np.int64)

    block = width if storage.group == "row" else storage.group
    places = np.arange(width) // block
    codes, zero_points = opened(kept.codes, width), opened(kept.zero_points, kept.scales.shape[-1])
    return (codes - zero_points[..., places]) * kept.scales.numpy().astype(np.float64)[..., places]


def plain_error(weight, storage):
    """Squared error of each group between its extremes and zero: in float64, the scale rounded up to a float16."""
    rows, width = weight.double().numpy(), weight.shape[1]
    block = width if storage.group == "row" else storage.group
    errors = []
    for start in range(0, width, block):
        group = rows[:, start : start + block]
        low = np.minimum(group.min(axis=1, initial=0), 0)[:, None]
        high = np.maximum(group.max(axis=1, initial=0), 0)[:, None]
        exact = (high - low) / STEPS[storage.format]
        near = exact.astype(np.float16)
        scale = np.where(near < exact, np.nextafter(near, np.float16(np.inf)), near).astype(np.float64)
        scale[scale == 0] = 1
        zero = np.round(-low / scale)
        back = (np.clip(np.round(group / scale + zero), 0, STEPS[storage.format]) - zero) * scale
        errors.append(np.square(back - group).sum(axis=1))
    return np.stack(errors, axis=1)


@FEW
@given(weight=matrices(), storage=quantized)
def test_what_comes_back_is_code_less_zero_point_times_scale_in_the_layout_of_onnx(weight, storage):
    width = weight.shape[1]
    kept = quantize(weight, storage)

    groups = 1 if storage.group == "row" else -(-width // storage.group)
    assert [tensor.dtype for tensor in kept] == [torch.uint8, torch.float16, torch.uint8]
    assert kept.scales.shape == (len(weight), groups)
    halves = 8 // storage.bits
    assert kept.codes.shape == (len(weight), -(-width // halves))
    assert kept.zero_points.shape == (len(weight), -(-groups // halves))
    assert sum(tensor.nbytes for tensor in kept) == len(weight) * storage.row_bytes(width)
    back = dequantize(kept, storage, width)
    assert back.dtype == torch.float32
    np.testing.assert_array_equal(back.double().numpy(), by_hand(kept, storage, width))


@FEW
@given(weight=matrices(), storage=quantized)
def test_every_number_has_the_nearest_code_of_its_group(weight, storage):
    """Whatever the size of the row, tiny ones included: no further than half a scale, or clipped to the last code."""
    width = weight.shape[1]
    kept = quantize(weight, storage)
    back, exact = dequantize(kept, storage, width).double(), weight.double()

    places = torch.arange(width) // storage.group_size(width)
    scale = kept.scales.double()[:, places]
    zero = unpack(kept.zero_points, storage.bits, storage.groups(width)).double()[:, places]
    low, high = -zero * scale, (STEPS[storage.format] - zero) * scale
    nearest = exact.clamp(low, high)
    assert ((back - nearest).abs() <= scale * 0.50001 + 1e-12).all()
    assert not back[~weight.any(dim=1)].any()


@FEW
@given(weight=matrices(), storage=quantized)
def test_no_group_is_worse_than_between_its_extremes(weight, storage):
    back = dequantize(quantize(weight, storage), storage, weight.shape[1]).double()
    starts = range(0, weight.shape[1], storage.group_size(weight.shape[1]))
    size = storage.group_size(weight.shape[1])
    error = np.stack([(back - weight.double()).square()[:, s : s + size].sum(1).numpy() for s in starts], axis=1)

    assert (error <= plain_error(weight, storage) * 1.001 + 1e-16).all()


@pytest.mark.parametrize("storage", QUANTIZED, ids=str)
def test_rows_of_tiny_numbers_beside_others_become_multiples_of_the_smallest_float16(storage):
    weight = torch.tensor([[1.0, -2.0, 3.0], [0.0, 0.0, 0.0], [1e-30, 0.0, -1e-30], [9e-8, -6e-8, 2e-8]])
    back = dequantize(quantize(weight, storage), storage, 3)
    assert back[1].tolist() == back[2].tolist() == [0, 0, 0]
    assert (back[3] / SMALLEST).tolist() == [2, -1, 0]
    torch.testing.assert_close(back[0], weight[0], rtol=0, atol=0.2)


@pytest.mark.parametrize("storage", QUANTIZED, ids=str)
def test_numbers_up_to_the_limit_are_held(storage):
    least, most = storage.range
    for largest in (least, most):
        weight = torch.tensor([[largest, -largest, largest / 3, 0.0]])
        back = dequantize(quantize(weight, storage), storage, 4)
        assert torch.isfinite(back).all()
        assert (back - weight).abs().max() <= largest / STEPS[storage.format] * 1.01


@pytest.mark.parametrize("storage", QUANTIZED, ids=str)
def test_a_row_is_kept_alike_alone_in_a_batch_and_in_a_large_table(storage):
    """Training imitates the rows of a batch; stored is the whole table, some rows at a time."""
    weight = torch.randn(5000, 100, generator=torch.Generator().manual_seed(0))
    ids = torch.randint(0, 5000, (3, 50), generator=torch.Generator().manual_seed(1))
    whole = quantize(weight, storage)
    for some in (ids, ids[0, :1], ids.flatten()):
        for found, expected in zip(quantize(weight[some], storage), whole, strict=True):
            assert torch.equal(found, expected[some])


@pytest.mark.parametrize("storage", STORED, ids=str)
@FEW
@given(weight=matrices(smallest=-3))
def test_imitated_storage_has_the_values_of_the_stored_rows_and_the_gradient_of_the_weights(storage, weight):
    trained = weight.clone().requires_grad_()
    imitated = imitate(trained, storage)
    imitated.sum().backward()

    width = weight.shape[1]
    stored = dequantize(quantize(weight, storage), storage, width) if storage.quantized else weight.half()
    torch.testing.assert_close(imitated.detach(), stored.to(weight.dtype), rtol=1e-5, atol=1e-12)
    assert torch.equal(trained.grad, torch.ones_like(weight))


def test_what_is_not_a_number_stays_none():
    """A training that has diverged must not look as if it had not."""
    for value in (float("nan"), float("inf")):
        weight = torch.tensor([[1.0, value, 2.0], [1.0, 2.0, 3.0]])
        back = imitate(weight, Storage("int4"))
        assert not torch.isfinite(back[0]).all()
        assert torch.isfinite(back[1]).all()


@FEW
@given(bits=st.sampled_from([1, 2, 4, 8]), count=st.integers(0, 40), seed=st.integers(0, 99))
def test_codes_of_fewer_bits_share_a_byte_the_first_in_the_lowest(bits, count, seed):
    codes = torch.tensor(np.random.default_rng(seed).integers(2**bits, size=(3, count)), dtype=torch.uint8)
    packed = pack(codes, bits)
    assert packed.shape == (3, -(-count * bits // 8))
    whole = [sum(code << bits * place for place, code in enumerate(row)) for row in codes.tolist()]
    assert [int.from_bytes(bytes(row), "little") for row in packed.tolist()] == whole
    assert torch.equal(unpack(packed, bits, count), codes)


@pytest.mark.parametrize(
    ("storage", "plain", "searched"),
    # One scale for the largest number of a row leaves 0.0174 in int4; a finer one for each group less.
    [
        (Storage("int4", "row"), 0.0132, 0.0109),
        (Storage("int4"), 0.0084, 0.0078),
        (Storage("int4", 32), 0.0066, 0.0063),
    ],
    ids=str,
)
def test_a_search_leaves_less_of_a_real_table_than_the_extremes(storage, plain, searched):
    with safe_open(resolve("packaged:minilm") / "model.safetensors", "pt") as file:
        (name,) = (name for name in file.keys() if "word_embeddings" in name)  # noqa: SIM118
        weight = file.get_tensor(name)[::8].float()
    norm = weight.double().square().sum().item()
    error = (dequantize(quantize(weight, storage), storage, 384) - weight).double().square().sum().item()
    assert plain_error(weight, storage).sum() / norm == pytest.approx(plain, rel=0.03)
    assert error / norm < searched
