"""Trellis-coded quantization against enumeration and the published distortions."""

from itertools import product
from math import log10

import pytest
import torch

from embfact.embeddings.layout import MOST_BITS
from embfact.embeddings.trellis import DISTORTION, first_level, normal_levels, search, subsets


def register_contents(entered):
    """The register, oldest bit first, after each bit that enters it."""
    bits = [0] * 8
    for bit in entered:
        bits = [*bits, bit]
        yield sum(value << place for place, value in enumerate(bits[-9:]))


def test_levels_of_each_number_of_bits_are_ascending_and_symmetric():
    levels = normal_levels()
    assert len(levels) == first_level(MOST_BITS + 1)
    for bits in range(1, MOST_BITS + 1):
        own = levels[first_level(bits) : first_level(bits + 1)]
        assert len(own) == 2 ** (bits + 1)
        assert (own.diff() > 0).all()
        torch.testing.assert_close(own, -own.flip(0), rtol=0, atol=1e-9)


def test_two_bits_that_enter_one_register_lead_to_two_halves_of_an_interleaved_pair():
    # What makes a trellis better than one level for each code: the choice at each step is between every second level.
    found = subsets(torch.device("cpu"))
    assert found.bincount().tolist() == [128] * 4
    assert ((found[:256] - found[256:]).abs() == 2).all()


@pytest.mark.parametrize("bits", [[1] * 6, [1, 2, 1, 2], [2, 1, 3], [1, 1, 1, 4]])
def test_the_codes_have_the_least_error_of_all(bits):
    levels, subset = normal_levels(), subsets(torch.device("cpu"))
    draw = torch.Generator().manual_seed(sum(bits))
    values = torch.randn(20, len(bits), generator=draw)
    scales = torch.rand(len(bits), generator=draw) + 0.5
    entered, chosen = search(values, bits, scales, levels)

    least = torch.full((20,), torch.inf)
    for coded in product((0, 1), repeat=len(bits)):
        parts = subset[list(register_contents(coded))]
        total = torch.zeros(20)
        for column, (count, part) in enumerate(zip(bits, parts.tolist(), strict=True)):
            own = levels[first_level(count) : first_level(count + 1)][part::4].float()
            total += (values[:, column, None] - scales[column] * own).square().amin(1)
        least = torch.minimum(least, total)
    reached = torch.stack(
        [levels[first_level(count) + chosen[:, column]] for column, count in enumerate(bits)], dim=1
    ).float()
    torch.testing.assert_close((values - reached * scales).square().sum(1), least, rtol=1e-4, atol=1e-6)
    # The level of each number lies in the subset that the register tells.
    for row in range(20):
        contents = torch.tensor(list(register_contents(entered[row].tolist())))
        assert torch.equal(subset[contents], chosen[row] % 4)


@pytest.mark.parametrize("bits", [1, 2, 3, 5])
def test_the_error_on_normal_numbers_is_the_one_that_allocation_counts_with(bits):
    values = torch.randn(300, 120, generator=torch.Generator().manual_seed(0))
    levels = normal_levels()
    _, chosen = search(values, [bits] * 120, torch.ones(120), levels)
    error = (values - levels[first_level(bits) + chosen].float())[:, 16:].square().mean().item()
    assert error == pytest.approx(DISTORTION[bits], rel=0.03)
    # Marcellin and Fischer (1990) reach 5.56, 11.04 and 16.64 dB with 256 states; the bound is 6.02 dB a bit.
    published = {1: 5.56, 2: 11.04, 3: 16.64}
    if bits in published:
        assert -10 * log10(error) == pytest.approx(published[bits], abs=0.1)


def test_rows_of_no_numbers_have_no_codes():
    entered, chosen = search(torch.zeros(3, 0), [], torch.zeros(0), normal_levels())
    assert entered.shape == chosen.shape == (3, 0)
