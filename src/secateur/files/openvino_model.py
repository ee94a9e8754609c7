"""Networks in OpenVINO, compiled for the CPU."""

from __future__ import annotations

import io
import os
from typing import Any

from secateur.files.onnx_bytes import required


def compiled(model: bytes | str | os.PathLike[str], *, threads: int = 1) -> Any:
    """A network that OpenVINO runs on the CPU, in single precision where it is not in integers.

    Args:
        model: content of an ONNX file, or path of an `.xml` file.
        threads: threads that it may use.

    Raises:
        UnsupportedError: openvino is not installed.
    """
    core = required("openvino").Core()
    read = core.read_model(io.BytesIO(model) if isinstance(model, bytes) else os.fspath(model))
    # Some processors would compute in bfloat16 by default.
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    return core.compile_model(read, "CPU", settings)
