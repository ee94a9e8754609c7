"""Wall-clock time of a forward pass: what the user will wait for, not what arithmetic promises.

Networks that are to be compared are timed in turn (A B A B …): a machine that slows down, or wakes up, then does so for
all of them, and their ratio is fair. Figures are quantiles, because the mean follows the one pass that was interrupted.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from secateur.core.copying import copied
from secateur.core.errors import UnsupportedError
from secateur.core.example import Example
from secateur.core.report import Latency
from secateur.files.onnx_bytes import feed, required, session, to_onnx
from secateur.files.openvino_model import compiled

Pass = Callable[[], object]


def latency(
    model: nn.Module,
    example_inputs: Any,
    *,
    runtime: str = "torch",
    threads: int = 1,
    repeats: int = 20,
    seconds: float = 1.0,
) -> Latency:
    """Time one network; see `latencies`, which times several and makes their ratio fair."""
    settings = {"runtime": runtime, "threads": threads, "repeats": repeats, "seconds": seconds}
    return latencies({"": model}, example_inputs, **settings)[""]  # type: ignore[arg-type]  # one dict of several types


def latencies(
    models: Mapping[str, nn.Module],
    example_inputs: Any,
    *,
    runtime: str = "torch",
    threads: int = 1,
    repeats: int = 20,
    seconds: float = 1.0,
) -> dict[str, Latency]:
    """Time forward passes of several networks in turn, on the CPU, in eval mode.

    Args:
        models: by name; they are copied, not touched.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments; its batch is timed as a whole.
        runtime: "torch", "onnxruntime" or "openvino".
        threads: threads that the runtime may use; the setting of torch is put back afterwards.
        repeats: timed passes of each network, at least.
        seconds: time spent on each network, at least; after a warm-up of a tenth of it.

    Returns:
        Median and 90th percentile in milliseconds, by name, with all that they depend on.

    Raises:
        UnsupportedError: no such runtime, or it is not installed.
    """
    if runtime not in _RUNNERS:
        raise UnsupportedError(f"runtime must be one of {', '.join(_RUNNERS)}, got {runtime!r}. Name one of these.")
    example = Example.of(example_inputs).map(lambda x: x.detach().cpu())
    with _threads(threads), torch.random.fork_rng(devices=[]), torch.inference_mode():
        runners = {name: _RUNNERS[runtime](model, example, threads) for name, model in models.items()}
        times = pass_times(runners, repeats=repeats, seconds=seconds)
    origin = {"runtime": runtime, "device": "cpu", "threads": threads, "batch": _batch(example)}
    return {
        name: Latency(p50=p50, p90=p90, repeats=count, **origin)  # type: ignore[arg-type]  # one dict of several types
        for name, (p50, p90, count) in times.items()
    }


def pass_times(
    passes: Mapping[str, Pass], *, repeats: int, seconds: float, clock: Callable[[], float] = time.perf_counter
) -> dict[str, tuple[float, float, int]]:
    """Call functions in turn, after a warm-up; median and 90th percentile in milliseconds, and calls, by name.

    Args:
        passes: what to time.
        repeats: calls of each, at least.
        seconds: spent on each, at least.
        clock: `time.process_time` where others use the machine too; it counts the work of all threads.
    """
    _time_in_turn(passes, repeats=2, seconds=seconds / 10, clock=clock)
    times = _time_in_turn(passes, repeats=repeats, seconds=seconds, clock=clock)
    return {
        name: (statistics.median(found) * 1e3, _ninetieth(found) * 1e3, len(found)) for name, found in times.items()
    }


def _time_in_turn(
    runners: Mapping[str, Pass], *, repeats: int, seconds: float, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Seconds of every pass, by name."""
    times: dict[str, list[float]] = {name: [] for name in runners}
    end = clock() + seconds * len(runners)
    done = 0
    while done < repeats or clock() < end:
        for name, run in runners.items():
            start = clock()
            run()
            times[name].append(clock() - start)
        done += 1
    return times


def _torch_pass(model: nn.Module, example: Example, threads: int) -> Pass:
    private = copied(model).cpu().eval()
    return lambda: example.call(private)


def _onnxruntime_pass(model: nn.Module, example: Example, threads: int) -> Pass:
    required("onnxruntime")
    with torch.inference_mode(False):  # tensors made in inference mode cannot be traced
        running = session(to_onnx(model, example), threads=threads)
    arrays = feed(running, example)
    return lambda: running.run(None, arrays)


def _openvino_pass(model: nn.Module, example: Example, threads: int) -> Pass:
    required("openvino")
    with torch.inference_mode(False):
        running = compiled(to_onnx(model, example), threads=threads)
    arrays = [x.detach().cpu().numpy() for x in example.tensors()]
    request = running.create_infer_request()
    return lambda: request.infer(arrays)


_RUNNERS: dict[str, Callable[[nn.Module, Example, int], Pass]] = {
    "torch": _torch_pass,
    "onnxruntime": _onnxruntime_pass,
    "openvino": _openvino_pass,
}


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _ninetieth(times: list[float]) -> float:
    """The smallest time that at least nine tenths of the passes did not exceed."""
    return sorted(times)[max(0, -(-9 * len(times) // 10) - 1)]


def _batch(example: Example) -> int:
    sizes = [x.shape[0] for x in example.tensors() if x.ndim]
    return sizes[0] if sizes else 1
