"""A mask by how full its rows and columns are: counts are stored, chances follow, a range coder does the rest.

For large tensors: everything is one call into compiled code. The chance of a cell is row count x column count / all,
in whole 65536ths, so that every machine computes the same.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from secateur.coding.arithmetic import Decoder, Encoder
from secateur.coding.bits import Cursor, varint
from secateur.coding.codecs.adaptive import Numbers
from secateur.coding.codecs.base import Whole, damaged
from secateur.coding.codecs.range_ import decoded, stream, words_from_bytes, words_to_bytes
from secateur.coding.live import Flags

_CELLS = 2**20
#: Rows or columns for which counts are stored.
MOST_LINES = 2**14


def density_to_bytes(mask: Flags) -> bytes:
    """A mask `(rows, columns)`."""
    rows, columns = mask.sum(1), mask.sum(0)
    by_row, by_column = _worthwhile(rows, mask.shape[1]), _worthwhile(columns, mask.shape[0])
    counts = Encoder()
    total = int(rows.sum())
    Numbers().code(counts, rows.tolist() if by_row else [])
    Numbers().code(counts, columns.tolist() if by_column else [])
    head = counts.finish()
    coder = stream().queue.RangeEncoder()
    for start, stop, chances in _chances(mask.shape, total, rows if by_row else None, columns if by_column else None):
        coder.encode(mask[start:stop].ravel().astype(np.int32), stream().model.Bernoulli(perfect=False), chances)
    flags = bytes([by_row | by_column << 1])
    return flags + varint(total) + varint(len(head)) + head + words_to_bytes(coder)


def density_from_bytes(cursor: Cursor, shape: tuple[int, int], length: int) -> Flags:
    """A mask of `shape`, from the next `length` bytes."""
    own = Cursor(cursor.take(length))
    flags, total = own.byte(), own.whole(shape[0] * shape[1])
    counts = Decoder(own.take(own.whole(own.left)))
    if flags > 3 or (flags & 1 and shape[0] > MOST_LINES) or (flags & 2 and shape[1] > MOST_LINES):
        raise damaged("counts of rows and columns are not as expected")
    given = [
        np.array(Numbers().code(counts, [0] * size if flags >> dim & 1 else []), dtype=np.int64)
        for dim, size in enumerate(shape)
    ]
    counts.finish()
    for dim, found in enumerate(given):
        if found.size and (int(found.sum()) != total or int(found.max()) > shape[1 - dim]):
            raise damaged("counts of rows and columns do not add up")
    coder = words_from_bytes(own.rest())
    mask = np.zeros(shape, dtype=bool)
    for start, stop, chances in _chances(shape, total, *(x if x.size else None for x in given)):
        found = decoded(coder, stream().model.Bernoulli(perfect=False), chances)
        mask[start:stop] = found.reshape(stop - start, -1) != 0
    return mask


def _chances(
    shape: tuple[int, ...], total: int, rows: Whole | None, columns: Whole | None
) -> Iterator[tuple[int, int, np.ndarray]]:
    height, width = shape
    cells = max(1, height * width)
    step = max(1, _CELLS // max(1, width))
    for start in range(0, height, step):
        stop = min(height, start + step)
        up = rows[start:stop, None] * height if rows is not None else np.full((stop - start, 1), total)
        across = columns * width if columns is not None else np.full(width, total)
        # In float64 products and quotients of whole numbers are rounded alike on every machine.
        share = up.astype(np.float64) * across.astype(np.float64) / max(1, total) / cells
        yield start, stop, np.clip(np.rint(share.ravel() * 65536), 1, 65535) / 65536


def _worthwhile(counts: Whole, size: int) -> bool:
    """Whether counts tell more than they cost: their chi-square against one density for all, about 5 bits a count."""
    if counts.size > MOST_LINES or counts.size < 2:
        return False
    mean = counts.mean()
    spread = float(((counts - mean) ** 2).sum() / max(mean * (1 - mean / max(size, 1)), 1e-9))
    return (spread - counts.size) * 0.72 > 5 * counts.size
