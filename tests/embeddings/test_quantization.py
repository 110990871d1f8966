"""Codes of few bits: how far a number may be from what comes back, that a search finds the range, and the layout."""

import itertools

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
STEPS = {"int8": 255, "int6": 63, "int4": 15, "int3": 7, "int2": 3}
SMALLEST = 2.0**-24  # the smallest float16 above zero
quantized = st.sampled_from(QUANTIZED)


SHAPES = (lambda x: x, torch.abs, lambda x: -x.abs() - 3, lambda x: x**3)  # both signs, one sign, off zero, peaks


@st.composite
def matrices(draw, smallest=-12, largest=4):
    """Matrices whose largest numbers of a row are from 10^smallest to 10^largest, or all zero.

    Every storage holds these; `test_numbers_up_to_the_limit_are_held` has the larger ones.
    """
    count, width = draw(st.integers(0, 6)), draw(st.integers(1, 9) | st.sampled_from([32, 33, 64, 65, 95, 130]))
    sizes = draw(st.lists(st.none() | st.integers(smallest, largest), min_size=count, max_size=count))
    scale = torch.tensor([0.0 if size is None else 10.0**size for size in sizes], dtype=torch.float64)
    random = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    numbers = draw(st.sampled_from(SHAPES))(torch.randn(count, width, generator=random, dtype=torch.float64))
    numbers = numbers / numbers.abs().amax(dim=1, keepdim=True) * scale.unsqueeze(1)
    return numbers.to(draw(st.sampled_from([torch.float32, torch.float64])))


def by_hand(kept, storage, width):
    """What ONNX Runtime's GatherBlockQuantized computes of codes, scales and zero points, in numpy and float64.

    It knows 4 and 8 bits; the others are read in the same way, zero points of int3 and int2 as halves and quarters.
    """

    def opened(packed, count, bits=storage.bits):
        stream = np.unpackbits(packed.numpy(), axis=1, bitorder="little")[:, : count * bits]
        return stream.reshape(len(packed), count, bits) @ (1 << np.arange(bits))

    block = width if storage.group == "row" else storage.group
    places = np.arange(width) // block
    whole = {"int3": (4, 2), "int2": (4, 4)}.get(storage.format, (storage.bits, 1))
    codes, zero_points = opened(kept.codes, width), opened(kept.zero_points, kept.scales.shape[-1], whole[0]) / whole[1]
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
        unit = {"int3": 2, "int2": 4}.get(storage.format, 1)
        zero = np.round(-low / scale * unit) / unit
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
    assert kept.codes.shape == (len(weight), -(-width * storage.bits // 8))
    assert kept.zero_points.shape == (len(weight), -(-groups * max(4, storage.bits) // 8))
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
    zero = unpack(kept.zero_points, storage.zero_bits, storage.groups(width)).double()[:, places] * storage.zero_step
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


def least_error(numbers, bits, parts):
    """The least squared error of numbers as (code - zero point) times scale, whatever the scale; in numpy, exactly.

    Codes change where a number is halfway between two of them. Between two such scales they stay, and the best scale is
    a quotient of sums. A zero point counts parts of a step.
    """
    steps, least = 2**bits - 1, np.inf
    for zero in np.arange(2 ** max(4, bits)) / parts:
        with np.errstate(divide="ignore"):
            halfway = np.divide.outer(numbers, np.arange(steps) + 0.5 - zero).ravel()
        changes = np.unique(halfway[np.isfinite(halfway) & (halfway > 0)])
        scales = np.concatenate([changes[:1] / 2, (changes[1:] + changes[:-1]) / 2, changes[-1:] * 2])
        places = np.clip(np.round(numbers / scales[:, None] + zero), 0, steps) - zero
        squares = np.maximum(np.square(places).sum(axis=1), 1e-30)
        fitted = np.maximum((places @ numbers) / squares, 0)
        least = min(least, np.square(places * fitted[:, None] - numbers).sum(axis=1).min())
    return least


@pytest.mark.parametrize(
    ("bits", "parts", "within"), [(2, 4, 1.05), (3, 2, 1.01), (4, 1, 1.1), (6, 1, 1.15)], ids=lambda value: str(value)
)
def test_the_search_comes_close_to_the_least_error_that_any_scale_and_zero_point_leave(bits, parts, within):
    storage = Storage(f"int{bits}", 32)
    groups = torch.randn(60, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    groups[:20] = groups[:20] ** 3
    groups[40:] += 1
    found = (dequantize(quantize(groups, storage), storage, 32).double() - groups).square().sum(dim=1).numpy()
    exact = np.array([least_error(row, bits, parts) for row in groups.numpy()])

    assert (found >= exact * 0.999).all()
    assert found.sum() <= exact.sum() * within


@pytest.mark.parametrize("group", ["row", 32, 64, 128])
def test_each_bit_more_leaves_less_error(group):
    weight = torch.randn(50, 200, generator=torch.Generator().manual_seed(0))
    errors = []
    for bits in (8, 6, 4, 3, 2):
        storage = Storage(f"int{bits}", group)
        errors.append((dequantize(quantize(weight, storage), storage, 200) - weight).square().sum().item())
    # A bit halves the steps, and so divides the error by about four.
    ratios = [few / many for many, few in itertools.pairwise(errors)]
    assert all(one > bound for one, bound in zip(ratios, (8, 8, 2.5, 2.5), strict=True))


@pytest.mark.parametrize("storage", QUANTIZED, ids=str)
def test_rows_of_tiny_numbers_beside_others_become_multiples_of_the_smallest_float16(storage):
    weight = torch.tensor([[1.0, -2.0, 3.0], [0.0, 0.0, 0.0], [1e-30, 0.0, -1e-30], [9e-8, -6e-8, 2e-8]])
    back = dequantize(quantize(weight, storage), storage, 3)
    assert back[1].tolist() == back[2].tolist() == [0, 0, 0]
    if storage.zero_step == 1:
        assert (back[3] / SMALLEST).tolist() == [2, -1, 0]
    else:  # zero points lie between two codes too
        assert not (back[3] / SMALLEST % storage.zero_step).any()
        torch.testing.assert_close(back[3], weight[3], rtol=0, atol=SMALLEST * 0.51)
    torch.testing.assert_close(back[0], weight[0], rtol=0, atol=max(0.2, 5 / STEPS[storage.format] / 2))


@pytest.mark.parametrize("storage", QUANTIZED, ids=str)
def test_numbers_up_to_the_limit_are_held(storage):
    least, most = storage.range
    for largest in (least, most):
        weight = torch.tensor([[largest, -largest, largest / 3, 0.0]])
        back = dequantize(quantize(weight, storage), storage, 4)
        assert torch.isfinite(back).all()
        # What leaves the least squared error may clip more than half a step of the whole range, 2 largest.
        most_lost = 1.01 if storage.format in ("int8", "int4") else 2
        assert (back - weight).abs().max() <= largest / STEPS[storage.format] * most_lost


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
@given(bits=st.sampled_from([1, 2, 3, 4, 6, 8]), count=st.integers(0, 40), seed=st.integers(0, 99))
def test_codes_are_one_stream_of_bits_the_first_in_the_lowest(bits, count, seed):
    codes = torch.tensor(np.random.default_rng(seed).integers(2**bits, size=(3, count)), dtype=torch.uint8)
    packed = pack(codes, bits)
    assert packed.shape == (3, -(-count * bits // 8))
    whole = [sum(code << bits * place for place, code in enumerate(row)) for row in codes.tolist()]
    assert [int.from_bytes(bytes(row), "little") for row in packed.tolist()] == whole
    stream = np.unpackbits(codes.numpy().reshape(3, count, 1), axis=2, count=bits, bitorder="little")
    expected = np.packbits(stream.reshape(3, count * bits), axis=1, bitorder="little")
    np.testing.assert_array_equal(packed.numpy(), expected)
    assert torch.equal(unpack(packed, bits, count), codes)


@pytest.mark.parametrize(
    ("storage", "plain", "searched"),
    # One scale for the largest number of a row leaves 0.0174 in int4; a finer one for each group less.
    [
        (Storage("int4", "row"), 0.0132, 0.0109),
        (Storage("int4"), 0.0084, 0.0078),
        (Storage("int4", 32), 0.0066, 0.0063),
        (Storage("int6"), 0.00047, 0.00046),
        (Storage("int3"), 0.0373, 0.0295),
        (Storage("int3", "row"), 0.06, 0.037),
        (Storage("int2"), 0.2, 0.107),
        (Storage("int2", "row"), 0.34, 0.12),
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
