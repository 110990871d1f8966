"""Modules that replace a token-embedding table."""

__all__ = [
    "base",
    "build",
    "clustered",
    "decoder",
    "dense",
    "grouped",
    "hashed",
    "hybrid",
    "layout",
    "low_rank",
    "product_quantized",
    "projected_block",
    "pruned",
    "quantization",
    "residual_quantized",
    "rows",
    "tensor_train",
]
