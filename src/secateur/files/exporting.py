"""`export`: an ONNX file whose answers were compared with PyTorch's before it was written."""

from __future__ import annotations

import os
from typing import Any

from torch import nn

from secateur.apply.verify import difference, outputs
from secateur.core.errors import VerificationError
from secateur.core.example import Example
from secateur.files.atomic import write_bytes
from secateur.files.onnx_bytes import answers, required, session, to_onnx

#: Rounding in another order moves single-precision outputs by 1e-6 or so; a wrong operator by far more than this.
THRESHOLD = 1e-3


def export(model: nn.Module, example_inputs: Any, path: str | os.PathLike[str], *, opset: int = 17) -> float:
    """Write `model` as an ONNX file for inputs of exactly these shapes, and prove that it answers as PyTorch does.

    Args:
        model: exported in eval mode; it is not touched.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments.
        path: the file; written only if the answers agree, as a whole or not at all.
        opset: version of the ONNX operator set.

    Returns:
        The largest relative difference between the outputs of ONNX Runtime (CPU, one thread) and of PyTorch.

    Raises:
        UnsupportedError: onnx or onnxruntime is not installed, or ONNX lacks an operator.
        VerificationError: the answers differ by more than 1e-3; nothing was written.
    """
    required("onnxruntime")
    example = Example.of(example_inputs)
    content = to_onnx(model, example, opset=opset)
    wanted = [x.cpu() for x in outputs(model, example)]
    seen = difference(wanted, answers(session(content), example))
    if not seen <= THRESHOLD:
        raise VerificationError(
            f"ONNX Runtime and PyTorch differ by {seen:.1e} (allowed {THRESHOLD:.0e}), so {os.fspath(path)!r} was not "
            "written. Look for operators that depend on the data or on chance, and try another opset.",
            seen,
        )
    write_bytes(path, content)
    return seen
