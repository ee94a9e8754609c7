"""Int8: a file of eight-bit integers for a runtime, as the last step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from secateur.chain.base import Given, State, Step, step
from secateur.core.errors import MissingEvidenceError
from secateur.core.example import Example
from secateur.quantize import Int8File, export_int8, int8_latency


@step("int8")
@dataclass(frozen=True, kw_only=True)
class Int8(Step):
    """Write the network in eight-bit integers, weights and activations, for a runtime; judged and timed in it.

    Attributes:
        runtime: "onnxruntime" or "openvino".

    Example:
        >>> str(Int8())
        'int8 for onnxruntime'
    """

    runtime: Literal["onnxruntime", "openvino"] = "onnxruntime"
    stage: ClassVar[int | None] = 4
    not_after: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"quantize": "the runtime's integers are other levels than those, and weights would be rounded twice"}
    )
    reason = "the network is in a file for a runtime by then, which nothing can change"

    def __str__(self) -> str:
        return f"int8 for {self.runtime}"

    def apply(self, state: State, given: Given) -> State:
        """The same network, and the file beside it."""
        if given.data is None:
            raise MissingEvidenceError(f"{self}: ranges of activations need data. Pass data=, an iterable of batches.")
        plain = state.plain()
        path = given.out / ("int8.onnx" if self.runtime == "onnxruntime" else "int8.xml")
        file = export_int8(plain, given.example_inputs, _few(given.data), path, runtime=self.runtime)
        times = int8_latency(plain, given.example_inputs, file)
        quality = None if given.quality is None else given.judged(_InRuntime(file, given.example_inputs))
        spent = ", ".join(f"{name} {times[name].p50:.3f} ms" for name in ("float32", "int8"))
        return State(
            model=plain,
            path=file.path,
            bytes=file.bytes,
            told=(f"{spent} in {self.runtime}, weights of {file.bits} bits",),
            quality=quality,
            latency={name: found.p50 for name, found in times.items()},
        )


class _InRuntime(nn.Module):
    """The file, as a network that can be judged: batches are fed in parts of the example's size."""

    def __init__(self, file: Int8File, example_inputs: Any) -> None:
        super().__init__()
        self._run, self._size = file.open(), len(Example.of(example_inputs).tensors()[0])

    def forward(self, x: Tensor) -> Tensor:
        found = []
        for start in range(0, len(x), self._size):
            part = x[start : start + self._size]
            missing = self._size - len(part)
            whole = torch.cat([part, part[-1:].expand(missing, *part.shape[1:])]) if missing else part
            found.append(self._run(Example.of(whole))[0][: len(part)])
        return torch.cat(found)


def _few(batches: Any, most: int = 8) -> list[Any]:
    """The first few batches, which are enough for ranges."""
    return [batch for batch, _ in zip(batches, range(most), strict=False)]
