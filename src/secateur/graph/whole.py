"""Recurrent layers are written down as one call each, whatever kernels they run on and however long the sequence is.

Below this level PyTorch takes another path on every device and for every precision: one oneDNN or cuDNN operator, or
some twenty small ones for each step of the sequence. What is common to all is the function that the module calls.
Weight norm is seen in the same way, for it, too, has a path for each dim and device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._ops import OpOverload, OpOverloadPacket
from torch.overrides import TorchFunctionMode

#: Functions that take a whole sequence; the position of the parameters tells sequences in a tensor from packed ones.
_LAYERS = ("lstm", "gru", "rnn_tanh", "rnn_relu")
_CELLS = ("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
_OTHERS = ("_pack_padded_sequence", "_pad_packed_sequence", "_weight_norm")

_OPERATORS: dict[Callable[..., Any], OpOverloadPacket] = {
    getattr(torch._C._VariableFunctions, name): getattr(torch.ops.aten, name)  # noqa: SLF001  torch calls them from here
    for name in (*_LAYERS, *_CELLS, *_OTHERS)
}


class WholeCalls(TorchFunctionMode):
    """Hands calls of these functions to `note` instead of letting their insides be seen.

    Args:
        note: called as `(operator, args, kwargs, run)`; it returns what `run()` returns.
    """

    def __init__(self, note: Callable[[OpOverload, tuple[Any, ...], dict[str, Any], Callable[[], Any]], Any]) -> None:
        super().__init__()
        self.note = note

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run `func`, seen as a whole if it is one of those."""
        kwargs = kwargs or {}
        packet = _OPERATORS.get(func)
        if packet is None:
            return func(*args, **kwargs)
        return self.note(_overload(packet, args), args, kwargs, lambda: func(*args, **kwargs))


def _overload(packet: OpOverloadPacket, args: tuple[Any, ...]) -> OpOverload:
    if "input" not in packet.overloads():
        return packet.default
    return packet.data if isinstance(args[3], list | tuple) else packet.input
