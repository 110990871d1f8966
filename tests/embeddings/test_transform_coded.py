"""Transform-coded tables, decoded by hand from the saved tensors."""

import numpy as np
import pytest
import torch

from embfact.embeddings.build import build_embedding, describe_embedding
from embfact.embeddings.layout import FLOAT32, Storage
from embfact.embeddings.transform_coded import TransformCodedEmbedding, bit_strings
from tests.embeddings.examples import EXAMPLES

CHECKS = (0o515, 0o362)  # Ungerboeck's, the newest bit in the lowest place


def decoded(state: dict[str, torch.Tensor], vocab_size: int, axes: int) -> np.ndarray:
    """The table that the saved tensors describe, read bit by bit: the layout as the documentation has it."""
    saved = {name: tensor.numpy() for name, tensor in state.items()}
    planes = np.unpackbits(saved["tier"], axis=1, bitorder="little")[:, :vocab_size]
    tiers = planes[0] + 2 * planes[1].astype(int) + 4 * planes[2]
    halves = saved["allocation"]
    allocation = np.stack([halves & 15, halves >> 4], axis=-1).reshape(len(halves), -1)[:, :axes].astype(int)
    stream = iter(np.unpackbits(saved["codes"][1:], bitorder="little").tolist())
    rows = np.zeros((vocab_size, axes))
    for tier, bits in enumerate(allocation):
        used = [axis for axis in reversed(range(axes)) if bits[axis]]
        for token in np.flatnonzero(tiers == tier):
            entered = [next(stream) for _ in used]
            for place, axis in enumerate(used):
                inner = sum(next(stream) << bit for bit in range(bits[axis] - 1))
                newest_first = [entered[place - back] if place >= back else 0 for back in range(9)]
                window = sum(bit << back for back, bit in enumerate(newest_first))
                high, low = ((window & check).bit_count() % 2 for check in CHECKS)
                level = 2 ** (bits[axis] + 1) - 4 + 4 * inner + 2 * high + low
                rows[token, axis] = saved["scales"][tier, axis] * saved["levels"][level]
    return rows @ saved["rotation.weight"] + saved["mean"]


def test_the_table_is_what_its_bits_say():
    module = EXAMPLES["transform_coded"]()
    np.testing.assert_allclose(module.dense().numpy(), decoded(module.state_dict(), 13, 4), rtol=0, atol=1e-12)


def many(axes: int = 40, vocab_size: int = 300) -> TransformCodedEmbedding:
    """Random codes of more axes than the register holds, in eight tiers."""
    draw = torch.Generator().manual_seed(0)
    tier = torch.randint(0, 8, (vocab_size,), generator=draw)
    allocation = torch.randint(0, 9, (8, axes), generator=draw) * torch.randint(0, 2, (8, axes), generator=draw)
    total = int(allocation.sum(1)[tier].sum())
    strings = torch.randint(0, 256, (-(-total // 8),), generator=draw).to(torch.uint8)
    floats = [torch.randn(*shape, generator=draw) for shape in ((8, axes), (1020,), (axes, 48), (48,))]
    return TransformCodedEmbedding.from_codes(strings, tier, allocation, *floats)


def test_long_codes_in_eight_tiers_are_what_their_bits_say():
    module = many()
    np.testing.assert_allclose(module.dense().numpy(), decoded(module.state_dict(), 300, 40), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("storage", [FLOAT32, Storage("int8"), Storage("int4", 32)], ids=str)
def test_places_of_the_codes_are_found_when_they_are_loaded(storage):
    module = many()
    module.store_tables(storage)
    assert "starts" not in module.state_dict()
    other = build_embedding(describe_embedding(module))
    assert not other.starts.any()
    other.load_state_dict(module.state_dict(), assign=True)
    assert torch.equal(other.starts, module.starts)
    assert torch.equal(other.dense(), module.dense())


def test_bits_are_written_as_they_are_read():
    entered, bits = torch.tensor([[1, 0, 1], [0, 0, 1]]), torch.tensor([1, 3, 2])
    others = torch.tensor([[0, 2, 1], [0, 3, 0]])
    expected = [[1, 0, 1, 0, 1, 1], [0, 0, 1, 1, 1, 0]]
    assert bit_strings(entered, others, bits).tolist() == expected


@pytest.mark.parametrize(("name", "value"), [("axes", 0), ("axes", 7), ("tiers", 0), ("tiers", 9)])
def test_shapes_that_mean_nothing_are_refused(name, value):
    shape = {"num_embeddings": 13, "embedding_dim": 6, "axes": 4, "tiers": 3, "code_bytes": 10, name: value}
    with pytest.raises(ValueError, match=rf"{name} must be 1 to .*found {value}"):
        TransformCodedEmbedding(**shape)
