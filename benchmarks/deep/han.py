"""Deep Compression by its own three steps, sizes counted in the paper's format and in ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import secateur
from benchmarks.mnist.data import splits
from benchmarks.mnist.run import BATCH, OUT, network, pruned
from secateur.bench.tasks.images import Batches, Split
from secateur.coding import CODECS
from secateur.coding.relative import steps
from secateur.core.quantized import Quantized
from secateur.core.recipe import FineTune
from secateur.measure import accuracy, nonzeros, parameters
from secateur.quantize import dequantize_, quantize, quantized_of
from secateur.quantizers import KMeans
from secateur.training import train_

#: Bits of codes by pattern of names: the paper's.
BITS: Mapping[str, Mapping[str, int]] = {
    "lenet_300_100": {"fc*.weight": 6},
    "lenet5": {"conv*.weight": 8, "fc*.weight": 5},
}
#: Bits of steps in the paper's tables.
INDEX = 5
#: Epochs of training centroids.
CENTROIDS = FineTune(epochs=2, lr=1e-4, optimizer="adam", weight_decay=0.0)


@dataclass(frozen=True, slots=True)
class Paper:
    """Bytes in the paper's format.

    Attributes:
        fixed: codes and steps in as many bits as they need, fillers, codebooks, biases in single precision.
        huffman: the same with Huffman codes and their tables.
    """

    fixed: float
    huffman: float


def in_papers_format(codes: Mapping[str, Quantized], state: Mapping[str, Tensor], bits: int | None) -> Paper:
    """What weights take as relative index and codes.

    Args:
        codes: by name.
        state: the whole network; what has no codes is counted in single precision.
        bits: of a step; None takes what is best for each layer.
    """
    fixed = huffman = 32.0 * sum(t.numel() for name, t in state.items() if name not in codes)
    for found in codes.values():
        assert found.levels is not None
        flat = found.codes.flatten().numpy().astype(np.int64)
        at, count = np.flatnonzero(flat), len(found.levels) - 1
        ways = [_layer(flat, at, count, width) for width in ([bits] if bits else range(2, 13))]
        fixed += min(way[0] for way in ways) + 32 * count
        huffman += min(way[1] for way in ways) + 32 * count
    return Paper(fixed / 8, huffman / 8)


def _layer(flat: Any, at: Any, count: int, width: int) -> tuple[float, float]:
    found, leads = steps(at, width)
    values = np.where(leads < 0, 0, flat[at[leads]])
    coded = [8.0 * len(CODECS["huffman"]().encode(torch.from_numpy(x))) for x in (found, values)]
    return found.size * (width + max(1, (count - 1).bit_length())), sum(coded)


def judged(state: Mapping[str, Tensor], net: str, exam: Batches) -> float:
    """Test error in percent."""
    model = network(net, 0)
    model.load_state_dict(state)
    return 100 * (1 - accuracy(model, exam)["top1"])


def rows(net: str, seed: int) -> Iterator[dict[str, Any]]:
    """P, P+Q, P+Q+H, and the `.sct` file of the same network."""
    train, test = splits(choosing=False)
    exam = Batches(test, 1000, seed=None)
    sparse, _ = pruned("Han 2015", net, seed)
    left, whole = nonzeros(sparse), parameters(sparse)
    yield {"row": "P", "error": judged(sparse.state_dict(), net, exam), "factor": whole / left, "left": left}
    model, codes = _quantized(sparse, net, train, seed)
    error = judged(model.state_dict(), net, exam)
    for bits, name in ((INDEX, ""), (None, ", best widths")):
        size = in_papers_format(codes, model.state_dict(), bits)
        yield {"row": f"P+Q{name}", "error": error, "factor": 4 * whole / size.fixed, "bytes": size.fixed}
        yield {"row": f"P+Q+H{name}", "error": error, "factor": 4 * whole / size.huffman, "bytes": size.huffman}
    file = secateur.pack(model, OUT / f"han-{net}-{seed}.sct")
    yield {
        "row": ".sct",
        "error": judged(secateur.unpack(file.path), net, exam),
        "factor": 4 * whole / file.bytes,
        "bytes": file.bytes,
        "ideal": sum(t.ideal for t in file.tensors),
    }


def _quantized(sparse: nn.Module, net: str, train: Split, seed: int) -> tuple[nn.Module, dict[str, Quantized]]:
    model = deepcopy(sparse)
    for pattern, bits in BITS[net].items():
        model = quantize(model, KMeans(bits=bits), only=[pattern])
    train_(model, Batches(train, BATCH, seed=seed), CENTROIDS)
    codes = quantized_of(model)
    return dequantize_(model), codes
