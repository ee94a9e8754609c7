"""The registry of criteria and arithmetic that several of them share."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from secateur.core.contracts import Collector, Criterion
from secateur.core.errors import IncompatibleError
from secateur.core.evidence import Evidence
from secateur.core.groups import Group, Role
from secateur.core.registry import Registry
from secateur.evidence import InputGram, Weight

CRITERIA: Registry[type[Criterion]] = Registry("criterion")
criterion = CRITERIA


def unit_rows(group: Group, tensors: Mapping[str, Tensor], *roles: Role) -> Tensor:
    """All entries of each unit in the slots that play `roles`, side by side: `(units, entries)` in float64."""
    rows = []
    for slot in group.slots_with(*roles):
        if slot.tensor in tensors:
            values = tensors[slot.tensor].double().movedim(slot.dim, 0)
            values = values.reshape(len(values), -1)
            rows.append(values[slot.index].reshape(group.units, -1))
    return torch.cat(rows, 1) if rows else torch.zeros(group.units, 0, dtype=torch.float64)


def seen(quantity: type[Collector], tensor: str, evidence: Evidence) -> Tensor:
    """What `quantity` tells of the inputs of the layer behind the weight `tensor`.

    Raises:
        IncompatibleError: there is no such layer.
    """
    found = evidence[quantity]
    if tensor not in found:
        raise IncompatibleError(
            f"{quantity.__name__} knows nothing of {tensor!r}: it is no weight of a convolution or linear layer that "
            "was seen to run (biases, norms, embeddings, transposed convolutions and bare parameters are not). "
            "If it is a bias or a norm, cut Weight() or Channel(over='produces'), which do not ask about those; "
            "otherwise choose magnitude, taylor or obd, which know every parameter."
        )
    return found[tensor]


def rows_and_gram(tensor: str, evidence: Evidence) -> tuple[Tensor, Tensor]:
    """A layer's weights `(groups, rows, entries)` and the second moments of what they see, in float64.

    Of a weight that several layers share, the first one's inputs count.

    Raises:
        IncompatibleError: `tensor` is no weight of a layer.
    """
    gram = seen(InputGram, tensor, evidence).double()
    return evidence[Weight][tensor].double().reshape(len(gram), -1, gram.shape[-1]), gram


def inputs_of(tensor: str) -> str:
    """How errors call the matrix of second moments."""
    return f"the matrix of second moments of what {tensor!r} sees"
