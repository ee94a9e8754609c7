"""Second moments of what a layer receives: the Hessian of its squared output error."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from secateur.core.contracts import Collector, Step
from secateur.core.errors import IncompatibleError
from secateur.core.groups import ChannelGraph
from secateur.evidence.base import add_, collector, layers, patches, watching_inputs, weighing, weighted_mean

#: Bytes that all matrices together may take.
LIMIT = 8 * 2**30


@collector("input_gram")
class InputGram(Collector):
    """Mean of x x^T over all patches x that the outputs of a convolution or linear layer see.

    With it the mean squared change of a layer's output row, when its weights w become w + d, is d^T H d, exactly.

    Formula: H = E[x x^T]
    Shapes:  weight name -> `(groups, entries, entries)` float64, the entries in the order of `weight.flatten(1)`
    Cost:    entries^2 * places multiply-accumulates and 8 * entries^2 bytes for each layer

    Transposed convolutions have no entry here.
    """

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Hook the layers.

        Raises:
            IncompatibleError: the matrices would take more than 8 GiB.
        """
        found = layers(model, weighing(graph))
        found = {name: module for name, module in found.items() if not getattr(module, "transposed", False)}
        sizes = {name: 8 * _groups(module) * _entries(module) ** 2 for name, module in found.items()}
        if sum(sizes.values()) > LIMIT:
            largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
            raise IncompatibleError(
                f"second moments of the inputs of all layers take {sum(sizes.values()) / 2**30:.1f} GiB, and "
                f"{LIMIT / 2**30:.0f} GiB are allowed. The largest belong to "
                f"{', '.join(f'{name!r} ({sizes[name] / 2**30:.1f} GiB)' for name in largest)}. "
                "Choose a criterion that keeps less, wanda or taylor for instance."
            )
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        return watching_inputs(found, self._see)

    def _see(self, name: str, module: nn.Module, x: Tensor) -> None:
        rows = patches(module, x.to(torch.promote_types(x.dtype, torch.float32)))
        found = (rows.mT @ rows).double().cpu()
        add_(self._sums, name, found)
        self._counts[name] = self._counts.get(name, 0) + rows.shape[1]

    def update(self, step: Step) -> None:
        """The hooks have seen the batch already."""

    def result(self) -> Mapping[str, Tensor]:
        """The means by weight name, in the memory of the sums: together they may be as large as allowed."""
        sums, self._sums = self._sums, {}
        return {name: found.div_(self._counts[name]) for name, found in sums.items()}

    merge = staticmethod(weighted_mean)


def _groups(module: nn.Module) -> int:
    return int(getattr(module, "groups", 1))


def _entries(module: nn.Module) -> int:
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight[0].numel()
