"""Does a runtime add integers exactly on this machine? Asked by trying.

Processors with dot products of bytes (x86 with VNNI, ARM) do. Older ones, x86 with AVX2 only, add two products of a
byte each in sixteen bits and cut off what does not fit without a word: 2 · 255 · 127 is 64,770, the largest number
32,767. Weights of seven bits leave room, 2 · 255 · 64 is 32,640.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from secateur.files.onnx_bytes import required

#: Channels of the layer that is tried.
_CHANNELS = 16


def loudest(weight: int = 127) -> tuple[bytes, dict[str, np.ndarray[Any, Any]], float]:
    """A convolution in integers whose sums are as large as sums get.

    Args:
        weight: the whole number that three of four weights are; the others are its opposite.

    Returns:
        The content of an ONNX file, its input, and what every number of its answer should be.
    """
    onnx = required("onnx")
    node, tensor = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    weights = np.full((_CHANNELS, _CHANNELS, 3, 3), weight, np.int8)
    weights[:, ::4] = -weight  # pairs in which two have one sign are half of them
    largest = weights[0].size
    constants = {
        "step_in": np.float32(1 / 255),
        "zero": np.uint8(0),
        "weight_codes": weights,
        "weight_steps": np.full(_CHANNELS, 1 / 127, np.float32),
        "weight_zeros": np.zeros(_CHANNELS, np.int8),
        "step_out": np.float32(largest / 255),
    }
    nodes = [
        node("QuantizeLinear", ["input0", "step_in", "zero"], ["codes"]),
        node("DequantizeLinear", ["codes", "step_in", "zero"], ["grid"]),
        node("DequantizeLinear", ["weight_codes", "weight_steps", "weight_zeros"], ["weights"], axis=0),
        node("Conv", ["grid", "weights"], ["sums"]),
        node("QuantizeLinear", ["sums", "step_out", "zero"], ["sum_codes"]),
        node("DequantizeLinear", ["sum_codes", "step_out", "zero"], ["output0"]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "loudest",
        [tensor("input0", onnx.TensorProto.FLOAT, (1, _CHANNELS, 8, 8))],
        [tensor("output0", onnx.TensorProto.FLOAT, (1, _CHANNELS, 6, 6))],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    answer = float(weights[0].astype(np.int64).sum()) / 127
    return model.SerializeToString(), {"input0": np.ones((1, _CHANNELS, 8, 8), np.float32)}, answer


def exact_bits(opened: Callable[[bytes], Callable[[dict[str, Any]], Any]]) -> int:
    """Bits of signed weights with which a runtime adds exactly on this machine, beside unsigned activations: 8 or 7.

    Args:
        opened: makes a function of inputs from the content of an ONNX file.
    """
    content, inputs, wanted = loudest()
    found = np.asarray(opened(content)(inputs)[0])
    return 8 if np.abs(found - wanted).max() <= 0.01 * wanted else 7
