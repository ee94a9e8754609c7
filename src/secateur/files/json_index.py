"""Masks and slot indices as JSON, compactly: a mask is one bit per unit, an index mostly one row and a step."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import numpy as np
import torch
from torch import Tensor

from secateur.files.reading import Node

#: More entries than this in one index would be a file that lies about its size.
_MOST_ENTRIES = 2**28


def mask_to_json(keep: Tensor) -> dict[str, Any]:
    """Boolean `(units,)` to a count and base64 of its bits, the first unit in the highest bit."""
    packed = np.packbits(keep.to(device="cpu", dtype=torch.bool).numpy())
    return {"units": keep.numel(), "bits": base64.b64encode(packed.tobytes()).decode()}


def mask_from_json(node: Node) -> Tensor:
    """Boolean `(units,)`.

    Raises:
        CodecError: the bits are not base64, or there are too few or too many.
    """
    fields = node.record("units", "bits")
    units = fields["units"].whole(low=0)
    try:
        packed = base64.b64decode(fields["bits"].text(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise fields["bits"].fail("base64") from error
    if len(packed) != -(-units // 8):
        raise fields["bits"].fail(f"base64 of {-(-units // 8)} bytes")
    bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8))
    if bits[units:].any():
        raise fields["bits"].fail(f"base64 of {units} bits, padded with zeros")
    return torch.from_numpy(bits[:units].astype(np.bool_))


def index_to_json(index: Tensor) -> Any:
    """Long `(units, k)` to JSON.

    Returns:
        None if unit u owns entry u; `{"row": [...], "step": s}` if unit u owns `row + u * s`; else all rows.
    """
    units, owned = index.shape
    if torch.equal(index, torch.arange(units)[:, None]):
        return None
    step = int(index[1, 0] - index[0, 0]) if units > 1 and owned else 0
    if units and torch.equal(index, index[0] + step * torch.arange(units)[:, None]):
        return {"row": index[0].tolist(), "step": step}
    return {"rows": index.tolist()}


def index_from_json(node: Node, *, units: int, size: int) -> Tensor:
    """Long `(units, k)`.

    Args:
        node: what `index_to_json` wrote.
        units: units of the group.
        size: length of the dim that is indexed; every entry lies in `[0, size)`.

    Raises:
        CodecError: it is malformed, or an entry lies outside the dim.
    """
    if node.value is None:
        if units > size:
            raise node.fail(f"an index into {size} entries, which {units} units cannot share one by one")
        return torch.arange(units)[:, None]
    if isinstance(node.value, dict) and "rows" in node.value:
        rows = node.record("rows")["rows"].items()
        entries = [[x.whole(0, size - 1) for x in row.items()] for row in rows]
        if len(entries) != units or len({len(row) for row in entries}) > 1:
            raise node.fail(f"{units} rows of the same length")
        return torch.tensor(entries, dtype=torch.long).reshape(units, -1 if units and entries[0] else 0)
    fields = node.record("row", "step")
    first, step = [x.whole(0, size - 1) for x in fields["row"].items()], fields["step"].whole()
    last = [x + step * (units - 1) for x in first]
    if units < 1 or units * len(first) > _MOST_ENTRIES or any(not 0 <= x < size for x in last):
        raise node.fail(f"an index of {units} units into {size} entries")
    return torch.tensor(first, dtype=torch.long).reshape(1, -1) + step * torch.arange(units)[:, None]
