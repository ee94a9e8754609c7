"""What is tried: each yields records of one kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

from benchmarks.int8.subject import Subject
from secateur.core.contracts import Quantizer
from secateur.core.example import Example
from secateur.core.quantized import Quantized
from secateur.quantize import (
    Activations,
    AdaRound,
    correct_biases_,
    dequantize_,
    export_int8,
    int8_latency,
    quantize,
    quantized_of,
    round_adaptively_,
    simulate,
)
from secateur.quantizers import Int4, KMeans, Log2, SymmetricLevels, Uniform

#: Weights alone; activations stay in single precision.
WEIGHTS: dict[str, Quantizer] = {
    "k-means, 8 bits": KMeans(bits=8),
    "k-means, 6 bits": KMeans(bits=6),
    "k-means, 5 bits": KMeans(bits=5),
    "k-means, 5 bits, from density": KMeans(bits=5, start="density"),
    "symmetric levels, 16 magnitudes": SymmetricLevels(magnitudes=16),
    "uniform, 8 bits by channel": Uniform(bits=8),
    "uniform, 8 bits by tensor": Uniform(bits=8, per="tensor"),
    "uniform, 6 bits by channel": Uniform(bits=6),
    "uniform, 4 bits by channel": Uniform(bits=4),
    "uniform, 4 bits by channel, least squares": Uniform(bits=4, range="mse"),
    "int4, groups of 32": Int4(),
    "powers of two, 5 bits": Log2(bits=5),
}


def weights(found: Subject, seed: int) -> Iterator[dict[str, Any]]:
    """Weights alone; no data, so one seed tells all."""
    if seed:
        return
    for name, how in WEIGHTS.items():
        start = process_time()
        model = quantize(found.dense, how)
        seconds = process_time() - start
        codes = quantized_of(model)
        bits = sum(_bits(q) for q in codes.values()) / sum(q.codes.numel() for q in codes.values())
        yield {"name": name, "bits": bits, "seconds": seconds, **found.judged(dequantize_(model))}


def _bits(q: Quantized) -> float:
    """Codes of fixed width, and the numbers that they stand for in single precision; zero points are all 0 here."""
    if q.levels is not None:
        return q.codes.numel() * max(1, (len(q.levels) - 1).bit_length()) + 32 * len(q.levels)
    assert q.scale is not None
    return q.codes.numel() * int(q.codes.max() - q.codes.min() + 1).bit_length() + 32 * q.scale.numel()


def simulated(found: Subject, seed: int) -> Iterator[dict[str, Any]]:
    """Weights and activations, in floating point on grids."""
    eight, four = Uniform(), Uniform(bits=4)
    plans: dict[str, tuple[Uniform, Activations]] = {
        "8 / 8 bits": (eight, Activations()),
        "8 / 8 bits, percentile": (eight, Activations(range="percentile")),
        "8 / 8 bits, least squares": (eight, Activations(range="mse")),
        "8 / 8 bits, divergence": (eight, Activations(range="kl")),
        "8 / 8 bits, one scale for each weight": (Uniform(per="tensor"), Activations()),
        "4 / 8 bits": (four, Activations(range="mse")),
        "4 / 8 bits, least squares": (Uniform(bits=4, range="mse"), Activations(range="mse")),
    }
    for name, (how, activations) in plans.items():
        start = process_time()
        model = simulate(found.dense, found.batches, weights=how, activations=activations)
        seconds = process_time() - start
        yield {"name": name, "seconds": seconds, **found.judged(model)}
        if "divergence" in name or "percentile" in name:
            continue
        start = process_time()
        correct_biases_(model, found.dense, found.batches)
        yield {"name": f"{name}, biases corrected", "seconds": process_time() - start, **found.judged(model)}


def rounded(found: Subject, seed: int) -> Iterator[dict[str, Any]]:
    """Learned rounding, one seed: minutes."""
    if seed:
        return
    how = Uniform(bits=4, range="mse")
    model = simulate(found.dense, found.batches, weights=how, activations=Activations(range="mse"))
    start = process_time()
    settings = AdaRound(steps=200, samples=8, lr=0.03)
    errors = round_adaptively_(model, found.dense, found.batches, settings, progress=lambda *x: print(*x, flush=True))
    lower = sum(now / nearest for nearest, now in errors.values()) / len(errors)
    name = "4 / 8 bits, least squares, learned rounding"
    yield {"name": name, "seconds": process_time() - start, "error_left": lower, **found.judged(model)}


def runtime(found: Subject, seed: int, which: str) -> Iterator[dict[str, Any]]:
    """A runtime's own integers; one runtime in a process, since their threads must not meet."""
    # Other ranges take gigabytes and minutes: once.
    ranges = ("minmax", "percentile", "kl") if which == "onnxruntime" and not seed else ("minmax",)
    for how in ranges:
        with TemporaryDirectory() as folder:
            start = process_time()
            target = Path(folder) / ("small.onnx" if which == "onnxruntime" else "small.xml")
            file = export_int8(found.dense, found.example, found.batches, target, runtime=which, range=how)  # type: ignore[arg-type]
            seconds = process_time() - start
            run = file.open()
            record = {"name": how, "seconds": seconds, "bytes": file.bytes, "float_bytes": file.float_bytes}
            record |= found.judged(lambda x, run=run: run(Example.of(x))[0], batch=1)  # type: ignore[misc]
            yield record


def timing(found: Subject, seed: int, which: str) -> Iterator[dict[str, Any]]:
    """CPU time of one photo on one thread, float32 and int8 in turn."""
    with TemporaryDirectory() as folder:
        target = Path(folder) / ("small.onnx" if which == "onnxruntime" else "small.xml")
        file = export_int8(found.dense, found.example, found.batches[:1], target, runtime=which)  # type: ignore[arg-type]
        times = int8_latency(found.dense, found.example, file, repeats=200, clock=process_time)
        yield {"name": "minmax", "latency": {name: asdict(each) for name, each in times.items()}}
