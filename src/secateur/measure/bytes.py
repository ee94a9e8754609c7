"""How large a network is on disk."""

from __future__ import annotations

from torch import nn

from secateur.files.container import serialise
from secateur.files.tensors import distinct, state


def size(model: nn.Module) -> int:
    """Bytes of the network as a safetensors file, without a plan; tied tensors count once.

    The file is really made, in memory: zeros take as much room as any other number, as they do on disk.

    Raises:
        UnsupportedError: the state holds something that safetensors cannot.
    """
    return len(serialise(distinct(state(model))[0]))
