"""`trace`: model and example inputs in, channel graph out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from secateur.core.errors import TraceError
from secateur.core.example import Example
from secateur.core.groups import ChannelGraph
from secateur.graph.depth import removable
from secateur.graph.probe import settle
from secateur.graph.propagate import propagate, unused
from secateur.graph.record import Recording, private_copy, record


def trace(model: nn.Module, example_inputs: Any) -> ChannelGraph:
    """Find out which channels of `model` must go together, which may not be cut, and why.

    The model is copied, run once in eval mode on the example inputs, and every operator is looked at. Then a randomly
    cut copy is run to see whether all sizes follow; what does not is pinned. Residual blocks that could go as a whole
    are found by trial, too. `model` itself is not touched.

    Args:
        model: any module whose forward runs on the example inputs.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments.

    Returns:
        The channel graph, as plain data.

    Raises:
        TraceError: the model cannot be copied or does not run on the example inputs, or its weights are not finite,
            or a part of it is TorchScript.
    """
    example = Example.of(example_inputs)
    _check_plain(model)
    _check_finite(model)
    private = private_copy(model)
    recording = record(private, example)
    if recording.failure is not None:
        error, where = recording.failure
        shapes = [list(t.shape) for t in example.tensors()]
        raise TraceError(
            f"the model fails on the example inputs (tensors of shape {shapes}) in "
            f"{where or 'its forward'}: {type(error).__name__}: {error}. "
            "Pass example_inputs that model(...) accepts in eval mode."
        ) from error
    if not recording.outputs:
        raise TraceError(
            "the model returns no tensor, so nothing can be compared. Return a tensor, tuple, dict or dataclass."
        )
    fresh = private_copy(model)  # the first copy may have been changed by its own forward
    training = _in_training(model, example) if unused(private, recording) else None
    graph = settle(fresh, propagate(private, recording, training), example, example.spec())
    return replace(graph, blocks=removable(private, graph, example))


def _in_training(model: nn.Module, example: Example) -> Recording | None:
    """A pass in training mode, or None where there is none to be had (a batch norm over one value refuses, say)."""
    for inputs in (example, example.wider()):
        recording = record(private_copy(model).train(), inputs)
        if recording.failure is None:
            return recording
    return None


def _check_plain(model: nn.Module) -> None:
    scripted = [name for name, module in model.named_modules() if isinstance(module, torch.jit.ScriptModule)]
    if scripted:
        raise TraceError(
            f"{scripted[0] or 'the model'} is a TorchScript module, whose tensors cannot be cut. "
            "Trace the Python model that it was made from."
        )


def _check_finite(model: nn.Module) -> None:
    bad = [n for n, p in model.named_parameters() if p.is_floating_point() and not bool(torch.isfinite(p).all())]
    # A buffer may hold infinity for a reason: a causal mask does.
    bad += [n for n, b in model.named_buffers() if b.is_floating_point() and bool(torch.isnan(b).any())]
    if bad:
        raise TraceError(
            f"{len(bad)} tensors hold NaN or infinity, first {bad[0]!r}. "
            "Scores of such a model mean nothing; load sound weights first."
        )
