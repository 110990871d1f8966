"""Ways to keep an embedding, for tests of what holds for all of them."""

from __future__ import annotations

from embfact.embeddings.layout import FLOAT32, Storage

QUANTIZED = (Storage("int8"), Storage("int8", "row"), Storage("int4"), Storage("int4", 32), Storage("int4", "row"))
STORED = (Storage("float16"), *QUANTIZED)
STORAGES = (FLOAT32, *STORED)
