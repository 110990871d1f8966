"""Kernels put into a model temporarily; its weights, their names and its results stay the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any, cast

import torch
from torch import nn
from transformers import PreTrainedModel

from embfact.kernels import attention, dropout, first_token, linear


@contextmanager
def for_training(model: PreTrainedModel, device: torch.device, *, attend: bool = True) -> Iterator[None]:
    """Train a sequence classifier with cheaper kernels; on devices other than a CPU only the last layer is shortened.

    With ``attend`` the attention is replaced as well, if it is the default of transformers.
    """
    on_cpu = device.type == "cpu"
    usual = model.config._attn_implementation
    # Models with another implementation (their own, or flash attention) keep it.
    swapped = attend and on_cpu and usual == "sdpa"
    if swapped:
        model.set_attn_implementation(attention.NAME)
    try:
        with _forwards(model, {nn.Dropout: dropout.forward} if on_cpu else {}), for_inference(model, device):
            yield
    finally:
        if swapped:
            model.set_attn_implementation(usual)


@contextmanager
def for_inference(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Score with cheaper kernels; a BERT-like sequence classifier has its last layer shortened."""
    faster = device.type == "cpu" and linear.is_available()
    layer = first_token.last_layer(model)
    if layer is not None and "forward" in vars(layer):
        layer = None  # already shortened: scoring during a training
    with _forwards(model, {nn.Linear: linear.forward} if faster else {}):
        if layer is not None:
            layer.forward = MethodType(first_token.forward, layer)
        try:
            yield
        finally:
            if layer is not None:
                del layer.forward


@contextmanager
def _forwards(model: nn.Module, forwards: dict[type[nn.Module], Callable[..., Any]]) -> Iterator[None]:
    """Replace the forward of all modules of some types (not of their subclasses)."""
    modules = [module for module in model.modules() if type(module) in forwards and "forward" not in vars(module)]
    for module in modules:
        cast(Any, module).forward = MethodType(forwards[type(module)], module)
    try:
        yield
    finally:
        for module in modules:
            del module.forward
