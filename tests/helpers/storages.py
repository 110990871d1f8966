"""Ways to keep an embedding, for tests of what holds for all of them."""

from __future__ import annotations

from embfact.embeddings.layout import FLOAT32, Storage

QUANTIZED = (
    *(Storage("int8"), Storage("int8", "row")),
    *(Storage("int6"), Storage("int6", 32)),
    *(Storage("int4"), Storage("int4", 32), Storage("int4", "row")),
    *(Storage("int3"), Storage("int3", "row")),
    *(Storage("int2"), Storage("int2", 32), Storage("int2", "row")),
)
STORED = (Storage("float16"), *QUANTIZED)
STORAGES = (FLOAT32, *STORED)
