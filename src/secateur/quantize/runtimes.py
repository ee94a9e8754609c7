"""`export_int8`: a network in eight-bit integers for ONNX Runtime or OpenVINO, by the quantizers of either."""

from __future__ import annotations

import io
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from secateur.apply.verify import difference, outputs
from secateur.core.contracts import Batches
from secateur.core.errors import MissingEvidenceError, UnsupportedError
from secateur.core.example import Example
from secateur.core.report import Latency
from secateur.files.atomic import write_bytes
from secateur.files.onnx_bytes import required, session, to_onnx
from secateur.files.openvino_model import compiled
from secateur.measure.latency import pass_times
from secateur.quantize.saturation import exact_bits

Runtime = Literal["onnxruntime", "openvino"]
#: How ONNX Runtime's calibrator calls the ways to choose a range.
_CALIBRATORS = {"minmax": "MinMax", "percentile": "Percentile", "kl": "Entropy"}


@dataclass(frozen=True, slots=True)
class Int8File:
    """A network in eight-bit integers on disk.

    Attributes:
        path: the `.onnx` file, or the `.xml` file with its `.bin` beside it.
        runtime: which runtime it is for.
        bytes: size of all files.
        float_bytes: size of the same network in single precision.
        bits: of the weights, 8 or 7.
        difference: largest relative difference of its answer to the example from PyTorch's.
    """

    path: Path
    runtime: Runtime
    bytes: int
    float_bytes: int
    bits: int
    difference: float

    def open(self, *, threads: int = 1) -> Callable[[Example], list[Tensor]]:
        """A function that runs it on inputs of the shapes that it was exported for."""
        run = _opened(self.path.read_bytes() if self.runtime == "onnxruntime" else self.path, self.runtime, threads)
        return lambda inputs: [torch.as_tensor(x) for x in run(_arrays(inputs))]


def export_int8(
    model: nn.Module,
    example_inputs: Any,
    batches: Batches,
    path: str | os.PathLike[str],
    *,
    runtime: Runtime = "onnxruntime",
    range: Literal["minmax", "percentile", "kl"] = "minmax",
    bits: Literal[7, 8] | None = None,
) -> Int8File:
    """Write `model` in eight-bit integers, with ranges of activations from calibration batches.

    Weights are symmetric, with a scale for each output channel; activations are unsigned, which ONNX Runtime is fast
    with on x86. A simulated network is exported after `dequantize_`: weights on grids of eight bits stay there if
    `bits` is 8.

    Args:
        model: in floating point; it is not touched.
        example_inputs: what the file will take: these shapes, exactly.
        batches: `(inputs, target)`, walked through once; larger batches are fed in parts of the example's size, and
            what does not fill a part is left out.
        path: the file to write: `.onnx`, or `.xml` for OpenVINO.
        runtime: "onnxruntime" (QDQ by its static quantizer) or "openvino" (by NNCF).
        range: how the range of an activation is chosen; OpenVINO has its own way, "minmax" only.
        bits: of the weights. Processors without dot products of bytes (x86 before VNNI) add two products in sixteen
            bits, which eight overflow; 7 is right on all. By default 8 where the runtime adds exactly on this
            machine. For OpenVINO, NNCF gives the first layer 7 anyway.

    Returns:
        The file and how large it is.

    Raises:
        UnsupportedError: the runtime is unknown or not installed, or cannot choose ranges so.
        MissingEvidenceError: the batches hold nothing that fills the example's shape.
    """
    if runtime not in _WRITERS:
        raise UnsupportedError(f"runtime must be one of {', '.join(_WRITERS)}, got {runtime!r}. Name one of these.")
    allowed = _CALIBRATORS if runtime == "onnxruntime" else {"minmax": ""}
    if range not in allowed:
        raise UnsupportedError(f"{runtime} chooses ranges by {', '.join(allowed)}, got range={range!r}.")
    if bits not in (None, 7, 8):
        raise UnsupportedError(f"weights have 7 or 8 bits, got bits={bits!r}. Leave it out for what is right here.")
    example = Example.of(example_inputs).map(lambda x: x.detach().cpu())
    parts = [_arrays(part) for part in _parts(batches, example)]
    if not parts:
        raise MissingEvidenceError(
            f"the batches hold no {len(example.tensors()[0])} samples to calibrate on. Pass at least one batch as "
            "large as example_inputs."
        )
    content = to_onnx(model, example)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        width = bits or _bits_here(runtime)
        written = _WRITERS[runtime](content, parts, Path(folder), _CALIBRATORS[range], width)
        answer = _opened(written[0] if runtime == "openvino" else written[0].read_bytes(), runtime, 1)(_arrays(example))
        target = Path(path)
        for file in written:
            write_bytes(target.with_suffix(file.suffix), file.read_bytes())
        size = sum(file.stat().st_size for file in written)
    seen = difference([x.cpu() for x in outputs(model, example)], [torch.as_tensor(x) for x in answer])
    return Int8File(target.with_suffix(written[0].suffix), runtime, size, len(content), width, seen)


def int8_latency(
    model: nn.Module,
    example_inputs: Any,
    file: Int8File,
    *,
    threads: int = 1,
    repeats: int = 20,
    seconds: float = 1.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Latency]:
    """Time a network in floating point and in integers, in turn, in the same runtime.

    Args:
        model: the network in floating point.
        example_inputs: as for `export_int8`.
        file: what that wrote.
        threads: threads that the runtime may use.
        repeats: timed passes of each, at least.
        seconds: time spent on each, at least.
        clock: `time.process_time` where others use the machine too.

    Returns:
        "float32" and "int8".
    """
    example = Example.of(example_inputs).map(lambda x: x.detach().cpu())
    arrays = _arrays(example)
    whole = _opened(to_onnx(model, example), file.runtime, threads)
    small = _opened(file.path.read_bytes() if file.runtime == "onnxruntime" else file.path, file.runtime, threads)
    passes = {"float32": lambda: whole(arrays), "int8": lambda: small(arrays)}
    batch = len(example.tensors()[0])
    return {
        name: Latency(file.runtime, p50, p90, "cpu", threads, batch, count)
        for name, (p50, p90, count) in pass_times(passes, repeats=repeats, seconds=seconds, clock=clock).items()
    }


def _parts(batches: Batches, example: Example) -> Iterator[Example]:
    """Calibration inputs in parts of exactly the example's shapes."""
    wanted = [tuple(x.shape) for x in example.tensors()]
    size = wanted[0][0]
    for inputs, _ in batches:
        given = Example.of(inputs)
        whole = len(given.tensors()[0])
        for start in range(0, whole - size + 1, size):
            part = given.map(lambda x, start=start, whole=whole: x[start : start + size] if len(x) == whole else x)  # type: ignore[misc]
            if [tuple(x.shape) for x in part.tensors()] == wanted:
                yield part


def _arrays(example: Example) -> dict[str, Any]:
    return {f"input{i}": x.detach().cpu().numpy() for i, x in enumerate(example.tensors())}


@cache
def _bits_here(runtime: Runtime) -> int:
    return exact_bits(lambda content: _opened(content, runtime, 1))


def _opened(model: bytes | Path, runtime: Runtime, threads: int) -> Callable[[dict[str, Any]], Sequence[Any]]:
    if runtime == "onnxruntime":
        assert isinstance(model, bytes)
        running = session(model, threads=threads)
        known = {node.name for node in running.get_inputs()}
        return lambda arrays: running.run(None, {n: a for n, a in arrays.items() if n in known})
    request = compiled(model, threads=threads).create_infer_request()
    return lambda arrays: [x.copy() for x in request.infer(list(arrays.values())).values()]


def _write_onnxruntime(
    content: bytes, parts: Sequence[dict[str, Any]], folder: Path, calibrator: str, bits: int
) -> list[Path]:
    required("onnxruntime")
    quantization: Any = _module("onnxruntime.quantization")
    whole, prepared, small = (folder / name for name in ("whole.onnx", "prepared.onnx", "int8.onnx"))
    whole.write_bytes(content)
    _module("onnxruntime.quantization.shape_inference").quant_pre_process(
        whole, prepared, skip_symbolic_shape=True
    )  # folds constants and norms

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # a class of an untyped package
        def __init__(self) -> None:
            self.left = iter(parts)

        def get_next(self) -> dict[str, Any] | None:
            return next(self.left, None)

    quantization.quantize_static(
        prepared,
        small,
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        calibrate_method=quantization.CalibrationMethod[calibrator],
        reduce_range=bits < 8,
    )
    return [small]


def _write_openvino(
    content: bytes, parts: Sequence[dict[str, Any]], folder: Path, calibrator: str, bits: int
) -> list[Path]:
    openvino, nncf = required("openvino"), required("nncf")
    read = openvino.Core().read_model(io.BytesIO(content))
    data = nncf.Dataset([list(part.values()) for part in parts])
    small = nncf.quantize(
        read,
        data,
        subset_size=len(parts),
        preset=nncf.QuantizationPreset.MIXED,
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            overflow_fix=nncf.OverflowFix.ENABLE if bits < 8 else None
        ),
    )
    openvino.save_model(small, folder / "int8.xml", compress_to_fp16=False)
    return [folder / "int8.xml", folder / "int8.bin"]


_WRITERS: dict[str, Callable[[bytes, Sequence[dict[str, Any]], Path, str, int], list[Path]]] = {
    "onnxruntime": _write_onnxruntime,
    "openvino": _write_openvino,
}


def _module(name: str) -> Any:
    from importlib import import_module  # noqa: PLC0415

    return import_module(name)


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantizers warn and log a great deal; what they did is checked instead."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
