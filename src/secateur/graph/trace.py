"""`trace`: model and example inputs in, channel graph out."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from secateur.core.copying import copied
from secateur.core.errors import TraceError
from secateur.core.example import Example
from secateur.core.groups import ChannelGraph
from secateur.graph.depth import removable
from secateur.graph.propagate import goes_elsewhere, propagate, unused
from secateur.graph.readonly import ReadOnly, Written
from secateur.graph.record import Recording, private_copy, record, tensors_in
from secateur.graph.rules import load_rules
from secateur.graph.settle import settle
from secateur.graph.weightless import weightless


def trace(model: nn.Module, example_inputs: Any, *, heads: bool = False, depth: bool = False) -> ChannelGraph:
    """Find out which channels of `model` must go together, which may not be cut, and why.

    A copy runs once in eval mode on the example inputs. Then every operator is looked at, and randomly cut copies are
    run to see whether all sizes follow; what does not is pinned. If training mode makes other calls, all this is done
    for them, too. Where the forward pass depends on no number, that is done without numbers (`weightless`). Residual
    blocks that could go as a whole are found by trial (`removable`). `model` itself is not touched.

    Args:
        model: any module whose forward runs on the example inputs.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments.
        heads: whether attention loses whole heads, or positions that are the same in all heads (the default).
        depth: whether to look for residual blocks that can be taken out as a whole, too; costs a few forward passes.

    Returns:
        The channel graph, as plain data.

    Raises:
        TraceError: the model cannot be copied or does not run on the example inputs, or its weights are not finite,
            or a part of it is TorchScript.
    """
    load_rules()
    example = Example.of(example_inputs)
    _check_plain(model)
    _check_finite(model)
    with _young_garbage_only():
        return _traced(model, example, heads=heads, depth=depth)


@contextmanager
def _young_garbage_only() -> Iterator[None]:
    """Let the garbage collector leave alone what was there before: a look through all of torch costs a third of a pass.

    What is made inside is collected as ever.
    """
    if gc.get_freeze_count():  # somebody else's doing, and theirs to undo
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _traced(model: nn.Module, example: Example, *, heads: bool, depth: bool) -> ChannelGraph:
    ran, answers = _run(model, example, own=depth)
    pristine, inputs, recording = _without_numbers(model, example, answers) or _with_numbers(model, example)
    training, like = _in_training(pristine, inputs, recording)
    walk = propagate(pristine, recording, training, heads=heads)
    graph = settle(pristine, walk, inputs, like, example.spec())
    return replace(graph, blocks=removable(ran, graph, example)) if depth else graph


def _run(model: nn.Module, example: Example, *, own: bool) -> tuple[nn.Module, list[tuple[int, ...]]]:
    """Run a copy of the model in earnest, once; returns the copy, and the shapes of what it answers.

    Args:
        model: is not touched.
        example: its inputs.
        own: whether the copy gets parameters of its own, to be filled with other numbers later.
    """
    private = private_copy(model, shared=not own)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad(), nullcontext() if own else ReadOnly(private):
            found = example.map(torch.clone).call(private)
    except Written:
        return _run(model, example, own=True)
    except Exception as error:
        if isinstance(error, NotImplementedError) and not own:  # some operators refuse to be watched
            return _run(model, example, own=True)
        watched = record(private_copy(model), example).failure  # tells the place, if it is the same failure
        where = watched[1] if watched is not None and type(watched[0]) is type(error) else ""
        raise _failing(error, where, example) from error
    answers = [tuple(x.shape) for x in tensors_in(found)]
    if not answers:
        raise TraceError(
            "the model returns no tensor, so nothing can be compared. Return a tensor, tuple, dict or dataclass."
        )
    return private, answers


def _failing(error: Exception, where: str, example: Example) -> TraceError:
    shapes = [list(t.shape) for t in example.tensors()]
    return TraceError(
        f"the model fails on the example inputs (tensors of shape {shapes}) in "
        f"{where or 'its forward'}: {type(error).__name__}: {error}. "
        "Pass example_inputs that model(...) accepts in eval mode."
    )


def _without_numbers(
    model: nn.Module, example: Example, answers: list[tuple[int, ...]]
) -> tuple[nn.Module, Example, Recording] | None:
    """A copy to be cut for trial, inputs, and a recording of them; None where the forward pass asks for numbers."""
    try:
        pristine, inputs = weightless(model, example)
    except TypeError:
        return None
    recording = record(copied(pristine), inputs)
    right = recording.failure is None and [x.shape for x in recording.outputs] == answers
    return (pristine, inputs, recording) if right else None


def _with_numbers(model: nn.Module, example: Example) -> tuple[nn.Module, Example, Recording]:
    """The same in earnest."""
    recording = record(private_copy(model), example)
    if recording.failure is not None:  # it ran before
        error, where = recording.failure
        raise TraceError(
            f"the model runs, but its operators cannot be recorded: {where or 'its forward'} raises "
            f"{type(error).__name__}: {str(error).rstrip('.')}. Tensors of other classes than torch.Tensor (nested "
            "ones, say) and tensors that no operator makes cannot be followed; give that part plain tensors."
        )
    return private_copy(model), example, recording  # the first copy may have been changed by its own forward


def _in_training(model: nn.Module, example: Example, recording: Recording) -> tuple[Recording | None, Example]:
    """A pass in training mode and its inputs, if it does something else than the one in eval mode.

    None where it does not, and where there is none to be had (a batch norm over one value refuses, say).
    """
    for inputs in (example, example.wider()):
        quick = record(copied(model).train(), inputs, places=False)
        if quick.failure is None:
            if not unused(model, recording) and not goes_elsewhere(recording, quick):
                return None, example
            return record(copied(model).train(), inputs), inputs
    return None, example


def _check_plain(model: nn.Module) -> None:
    scripted = [name for name, module in model.named_modules() if isinstance(module, torch.jit.ScriptModule)]
    if scripted:
        raise TraceError(
            f"{scripted[0] or 'the model'} is a TorchScript module, whose tensors cannot be cut. "
            "Trace the Python model that it was made from."
        )


def _is_finite(tensor: Tensor) -> bool:
    """Whether every entry is; a finite sum, which is found in a tenth of the time, says so."""
    with torch.no_grad():
        return bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all())


def _stored(tensor: Tensor) -> Tensor:
    """The numbers of a tensor that may be sparse."""
    if tensor.layout is torch.strided:
        return tensor
    return (tensor.coalesce() if tensor.layout is torch.sparse_coo else tensor).values()


def _check_finite(model: nn.Module) -> None:
    bad = [n for n, p in model.named_parameters() if p.is_floating_point() and not _is_finite(p)]
    # A buffer may hold infinity for a reason: a causal mask does.
    bad += [n for n, b in model.named_buffers() if b.is_floating_point() and bool(torch.isnan(_stored(b)).any())]
    if bad:
        raise TraceError(
            f"{len(bad)} tensors hold NaN or infinity, first {bad[0]!r}. "
            "Scores of such a model mean nothing; load sound weights first."
        )
