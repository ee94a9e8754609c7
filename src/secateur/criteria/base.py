"""The registry of criteria and arithmetic that several of them share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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


def received(group: Group, values: Mapping[str, Tensor], by: str) -> Tensor:
    """What is known of each unit where it is read, `(units, ...)` in float64: the mean over all layers that read it.

    Args:
        group: its units.
        values: weight name to `(entries of the consuming dim, ...)`.
        by: name of the criterion, for the error.

    Raises:
        IncompatibleError: no convolution or linear layer was seen reading the group.
    """
    read = [slot for slot in group.slots_with(Role.CONSUMES) if slot.tensor in values]
    if not read:
        raise IncompatibleError(
            f"{by} looks at what convolutions and linear layers receive, and none was seen reading group "
            f"{group.name!r}. Choose units that such layers read (granularity neuron or embedding, say), or a "
            "criterion that looks at weights, magnitude or taylor for instance."
        )
    return torch.stack([values[slot.tensor].double()[slot.index].mean(1) for slot in read]).mean(0)


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """A layer that reads the units of a group.

    Attributes:
        name: of its weight.
        weight: `(groups, rows, entries)` in float64, the rows of each group of the layer.
        gram: E[x x^T] of the patches that the rows see, `(groups, entries, entries)`.
        places: which entries belong to each unit, long `(units, entries of a unit)`.
    """

    name: str
    weight: Tensor
    gram: Tensor
    places: Tensor


def readers(group: Group, evidence: Evidence) -> list[Reader]:
    """The convolutions and linear layers that read the units of `group`, transposed ones aside.

    Raises:
        IncompatibleError: there are none.
    """
    grams, weights = evidence[InputGram], evidence[Weight]
    slots = [slot for slot in group.slots_with(Role.CONSUMES) if slot.tensor in grams and slot.dim == 1]
    places: dict[str, list[Tensor]] = {}
    for slot in slots:
        each = weights[slot.tensor][0, 0].numel()  # entries of one input channel
        index = slot.index.unsqueeze(2) * each + torch.arange(each)
        places.setdefault(slot.tensor, []).append(index.flatten(1))
    if not places:
        raise IncompatibleError(
            f"no convolution or linear layer that was seen to run reads {group.name!r}, so there is no output to "
            f'reconstruct. Freeze it (frozen=["{group.name}"]) or choose another criterion, taylor for instance.'
        )
    found = []
    for name, parts in places.items():
        gram = grams[name].double()
        weight = weights[name].double().reshape(len(gram), -1, gram.shape[-1])
        found.append(Reader(name, weight, gram, torch.cat(parts, 1)))
    return found


def contributions(group: Group, evidence: Evidence) -> Tensor:
    """What the units add to the outputs of all layers that read them, as second moments `(units, units)` in float64.

    G_uv = sum over the layers and their rows o of E[z_uo z_vo], z_uo = w_o,u . x_u; so the squared error of removing
    the units T is the sum of G over T x T.

    Raises:
        IncompatibleError: no layer reads them.
    """
    total = torch.zeros(group.units, group.units, dtype=torch.float64)
    for reader in readers(group, evidence):
        moments = (reader.weight.mT @ reader.weight * reader.gram).sum(0)
        order = reader.places.flatten()
        cells = moments[order][:, order].view(*reader.places.shape, *reader.places.shape)
        total += cells.sum((1, 3))
    return (total + total.mT) / 2
