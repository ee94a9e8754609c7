"""`measure`: everything that a report says about one network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from secateur.apply.masking import is_masked, unmask_
from secateur.core.contracts import Quality
from secateur.core.copying import copied
from secateur.core.errors import IncompatibleError
from secateur.core.example import Example
from secateur.core.report import Latency, Measurement
from secateur.measure.bytes import size
from secateur.measure.latency import latencies
from secateur.measure.macs import macs
from secateur.measure.params import nonzeros, parameters


def measure(
    model: nn.Module,
    example_inputs: Any,
    *,
    quality: Quality | None = None,
    runtimes: Sequence[str] = ("torch",),
    threads: int = 1,
) -> Measurement:
    """Measure one network: multiply-accumulates, parameters, bytes, latency, quality.

    Args:
        model: dense, masked or shrunk; it is not touched.
        example_inputs: what multiply-accumulates and latency are measured on.
        quality: `model -> figure(s)`, higher is better; a single figure is called "quality".
        runtimes: where latency is measured: "torch", "onnxruntime"; empty for none.
        threads: threads that a runtime may use.

    Returns:
        The measurement.

    Raises:
        UnsupportedError: no such runtime, or it is not installed.
        IncompatibleError: `quality` returns something else than numbers.
    """
    return measure_all({"": model}, example_inputs, quality=quality, runtimes=runtimes, threads=threads)[""]


def measure_all(
    models: Mapping[str, nn.Module],
    example_inputs: Any,
    *,
    quality: Quality | None = None,
    runtimes: Sequence[str] = ("torch",),
    threads: int = 1,
) -> dict[str, Measurement]:
    """Measure several networks side by side, by name; their latencies are taken in turn, so that ratios are fair.

    The arguments are those of `measure`.
    """
    example = Example.of(example_inputs)
    times = {runtime: latencies(models, example, runtime=runtime, threads=threads) for runtime in runtimes}
    return {
        name: _measure(model, example, quality, tuple(found[name] for found in times.values()))
        for name, model in models.items()
    }


def _measure(model: nn.Module, example: Example, quality: Quality | None, times: tuple[Latency, ...]) -> Measurement:
    # A masked network keeps its parameters under other names; what it would be on disk is what counts.
    plain = unmask_(copied(model)) if is_masked(model) else model
    return Measurement(
        macs=macs(model, example),
        params=parameters(plain),
        nonzeros=nonzeros(plain),
        bytes=size(plain),
        latency=times,
        quality=_figures(model, quality) if quality is not None else {},
    )


def _figures(model: nn.Module, quality: Quality) -> dict[str, float]:
    """The user's figures, whatever the function does to the model's modes and to the global random state."""
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.random.fork_rng(devices=[]):
            found = quality(model)
    finally:
        for module, mode in modes.items():
            module.training = mode
    figures = found if isinstance(found, Mapping) else {"quality": found}
    try:
        return {str(name): float(value) for name, value in figures.items()}
    except (TypeError, ValueError) as error:
        raise IncompatibleError(
            f"quality(model) must return a number or a dict of numbers, got {found!r}. Return for instance 0.93."
        ) from error
