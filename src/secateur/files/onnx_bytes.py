"""A network as the bytes of an ONNX file, and the answers of ONNX Runtime to such bytes."""

from __future__ import annotations

import io
import warnings
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from secateur.apply.verify import outputs
from secateur.core.copying import copied
from secateur.core.errors import UnsupportedError
from secateur.core.example import Example
from secateur.graph.record import plain_operators


def to_onnx(model: nn.Module, example: Example, *, opset: int = 17) -> bytes:
    """The network in eval mode, for inputs of exactly the example's shapes.

    Args:
        model: it is copied, not touched.
        example: tensors become the inputs `input0`, `input1`, …; all other arguments become constants.
        opset: version of the ONNX operator set.

    Returns:
        The content of an ONNX file.

    Raises:
        UnsupportedError: onnx or onnxruntime is not installed, or the network has an operator that ONNX lacks.
    """
    required("onnx")
    private = copied(model).cpu().eval()
    example = example.map(lambda x: x.cpu())
    number = len(outputs(private, example))
    inputs = example.tensors()
    _take_tensors_(private, example)
    file = io.BytesIO()
    try:
        # The TorchScript exporter calls itself deprecated and warns a lot; the answers of its file are checked instead.
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), torch.no_grad(), plain_operators():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                private,
                tuple(inputs),
                file,  # type: ignore[arg-type]  # a file object is fine; the stub knows the other exporter only
                input_names=[f"input{i}" for i in range(len(inputs))],
                output_names=[f"output{i}" for i in range(number)],
                opset_version=opset,
                dynamo=False,
            )
    except Exception as error:  # the exporter raises whatever its many parts raise
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UnsupportedError(
            f"the network cannot be written as ONNX with opset {opset}: {first[:200]} "
            "Replace the operator, or try another opset."
        ) from error
    return file.getvalue()


def session(content: bytes, *, threads: int = 1) -> Any:
    """An ONNX Runtime session on the CPU.

    Args:
        content: of an ONNX file.
        threads: threads that one operator may use.
    """
    runtime = required("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def feed(running: Any, example: Example) -> dict[str, Any]:
    """The example's tensors as numpy arrays by input name; inputs that the network ignores are left out."""
    known = {node.name for node in running.get_inputs()}
    arrays = {f"input{i}": x.detach().cpu().numpy() for i, x in enumerate(example.tensors())}
    return {name: array for name, array in arrays.items() if name in known}


def answers(running: Any, example: Example) -> list[Tensor]:
    """What ONNX Runtime makes of the example."""
    return [torch.as_tensor(x) for x in running.run(None, feed(running, example))]


def required(name: str) -> ModuleType:
    """The module `name`.

    Raises:
        UnsupportedError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        extra = "int8" if name in ("openvino", "nncf") else "onnx"
        raise UnsupportedError(
            f'this needs the package {name}, which is missing. Install it: pip install "secateur[{extra}]".'
        ) from error


def _take_tensors_(model: nn.Module, example: Example) -> None:
    """Let `model` take the example's tensors one by one and return a flat tuple, which is all that ONNX knows."""
    leaves, spec = tree_flatten((example.args, dict(example.kwargs)))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    inner = model.forward

    def forward(*tensors: Tensor) -> Any:
        filled = list(leaves)
        for place, tensor in zip(places, tensors, strict=True):
            filled[place] = tensor
        args, kwargs = tree_unflatten(filled, spec)
        return tuple(_tensors(inner(*args, **kwargs)))

    model.forward = forward


def _tensors(output: Any) -> list[Tensor]:
    leaves, _ = tree_flatten(output)
    leaves += [x for leaf in leaves if hasattr(leaf, "__dict__") for x in tree_flatten(vars(leaf))[0]]
    return [x for x in leaves if isinstance(x, Tensor)]
