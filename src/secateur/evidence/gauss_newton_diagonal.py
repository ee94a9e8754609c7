"""The diagonal of the Gauss-Newton matrix: curvature that comes from the loss, and is never negative."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import grad, vjp
from torch.utils._pytree import tree_flatten, tree_unflatten

from secateur.core.contracts import Collector, Step
from secateur.core.errors import IncompatibleError
from secateur.core.groups import ChannelGraph
from secateur.core.one_by_one import PIECE, Map, one_by_one, parameters_of
from secateur.evidence.base import collector, weighted_mean

#: Outputs that one example may have: their Hessian is square.
LIMIT = 4096


@collector("gauss_newton_diagonal")
class GaussNewtonDiagonal(Collector):
    """Diagonal of the Gauss-Newton matrix of the loss (its Levenberg-Marquardt approximation), exactly.

    With S S^T the Hessian of an example's loss in its outputs y, for cross-entropy diag(p) - p p^T, every column s of S
    is sent backwards through the network, and the squares of what arrives add up. Where the loss is not convex in the
    outputs, its negative curvature is left out.

    Formula: h = E_i[ sum over columns s of S_i of ( (dy_i/dw)^T s ) ** 2 ]
    Shapes:  parameter name -> tensor in the parameter's shape
    Cost:    one forward pass per example and as many backward passes as it has outputs, at most 4,096
    """

    runs_itself: ClassVar[bool] = True

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Begin at zero."""
        self._model, self._parameters, self._samples, self._outputs = model, parameters_of(model), 0, 1
        self._sums = {n: torch.zeros(p.shape, dtype=torch.promote_types(p.dtype, torch.float32))
                      for n, p in self._parameters.items()}  # fmt: skip
        return nullcontext()

    def update(self, step: Step) -> None:
        """Add the examples of one batch.

        Raises:
            IncompatibleError: an example has more than 4,096 outputs.
        """
        if not self._samples:
            with torch.no_grad():
                sizes = [x.numel() for x in tree_flatten(step.example.call(self._model))[0] if _counts(x)]
            self._outputs = -(-sum(sizes) // max(step.samples, 1))
            if self._outputs > LIMIT:
                raise IncompatibleError(
                    f"an example has {self._outputs} outputs, and the Gauss-Newton matrix takes one backward pass for "
                    f"each, {LIMIT} at most. Use the empirical Fisher matrix, obd with hessian='fisher' for instance."
                )
        self._width = min(self._outputs, max(1, PIECE // sum(p.numel() for p in self._parameters.values())))
        for found in one_by_one(self._model, step, self._look, self._width):
            for name, diagonals in found.items():
                self._sums[name] += diagonals.to(self._sums[name]).sum(0)
        self._samples += step.samples

    def _look(
        self, output: Callable[[Mapping[str, Tensor]], Any], loss: Callable[[Any], Tensor], mapped: Map
    ) -> Mapping[str, Tensor]:
        leaves, spec = tree_flatten(output(self._parameters))
        places = [place for place, x in enumerate(leaves) if _counts(x)]

        def flat(parameters: Mapping[str, Tensor]) -> Tensor:
            found = tree_flatten(output(parameters))[0]
            return torch.cat([found[place].flatten() for place in places])

        def loss_of(y: Tensor) -> Tensor:
            parts = y.split([leaves[place].numel() for place in places])
            filled = dict(zip(places, parts, strict=True))
            return loss(tree_unflatten([filled[k].view(x.shape) if k in filled else x for k, x in enumerate(leaves)],
                                       spec))  # fmt: skip

        y, back = vjp(flat, self._parameters)[:2]
        curve = vjp(grad(loss_of), y)[1]
        hessian = mapped(curve)(torch.eye(len(y), dtype=y.dtype, device=y.device))[0]
        values, vectors = torch.linalg.eigh(hessian.to(torch.promote_types(y.dtype, torch.float32)))
        roots = (vectors * values.clamp_min(0).sqrt()).mT.to(y.dtype)
        squares = {name: torch.zeros_like(p) for name, p in self._parameters.items()}
        for some in roots.split(self._width):  # each backward pass has the memory of all parameters
            for name, x in mapped(back)(some)[0].items():
                squares[name] = squares[name] + x.square().sum(0)
        return squares

    def result(self) -> Mapping[str, Tensor]:
        """The mean by parameter name."""
        return {name: total / max(self._samples, 1) for name, total in self._sums.items()}

    merge = staticmethod(weighted_mean)


def _counts(x: Any) -> bool:
    """Whether an output is one that a loss may look at."""
    return isinstance(x, Tensor) and x.is_floating_point()
