"""The diagonal of the Gauss-Newton matrix: curvature that comes from the loss, and is never negative."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
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

    A linear layer that sees one vector of each example has rank-one gradients, so of its weights only what comes back
    to its outputs is sent, and squares are multiplied at the end.
    """

    runs_itself: ClassVar[bool] = True

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Begin at zero."""
        self._model, self._parameters, self._samples, self._outputs = model, parameters_of(model), 0, 1
        self._sums = {n: torch.zeros(p.shape, dtype=torch.promote_types(p.dtype, torch.float32))
                      for n, p in self._parameters.items()}  # fmt: skip
        self._seen: dict[str, list[tuple[Tensor, Tensor]]] = {}
        self._offsets: Mapping[str, Tensor] = {}
        return self._watching(
            {name: model.get_submodule(name.removesuffix(".weight")) for name in _linear(model, graph)}
        )

    @contextmanager
    def _watching(self, found: Mapping[str, nn.Module]) -> Iterator[None]:
        handles = [module.register_forward_hook(self._hook(name)) for name, module in found.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], Tensor]:
        """Note what a linear layer sees and gives, and add an offset to that, which gradients can be taken of."""

        def look(module: nn.Module, args: tuple[Any, ...], y: Tensor) -> Tensor:
            if args:
                self._seen.setdefault(name, []).append((args[0], y))
            return y + self._offsets[name] if name in self._offsets else y

        return look

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
            for name in self._sums:
                self._sums[name] += _summed(name, found).to(self._sums[name])
        self._samples += step.samples

    def _look(
        self, output: Callable[[Mapping[str, Tensor]], Any], loss: Callable[[Any], Tensor], mapped: Map
    ) -> Mapping[str, Tensor]:
        leaves, spec = tree_flatten(self._run(output, self._parameters, {}))
        places = [place for place, x in enumerate(leaves) if _counts(x)]
        # One call, and one vector: the weight's gradient is the product of what comes back and what went in.
        ones = {n: calls[0][1] for n, calls in self._seen.items() if len(calls) == 1 and _single(*calls[0])}
        others = {n: p for n, p in self._parameters.items() if n not in ones}

        def flat(free: Mapping[str, Tensor], offsets: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
            found = tree_flatten(self._run(output, {**self._parameters, **free}, offsets))[0]
            return torch.cat([found[place].flatten() for place in places]), {n: self._seen[n][0][0] for n in ones}

        def loss_of(y: Tensor) -> Tensor:
            parts = y.split([leaves[place].numel() for place in places])
            filled = dict(zip(places, parts, strict=True))
            return loss(tree_unflatten([filled[k].view(x.shape) if k in filled else x for k, x in enumerate(leaves)],
                                       spec))  # fmt: skip

        zeros = {n: torch.zeros_like(y) for n, y in ones.items()}
        pulled: tuple[Any, ...] = vjp(flat, others, zeros, has_aux=True)
        y, back, inputs = pulled
        curve = vjp(grad(loss_of), y)[1]
        hessian = mapped(curve)(torch.eye(len(y), dtype=y.dtype, device=y.device))[0]
        values, vectors = torch.linalg.eigh(hessian.to(torch.promote_types(y.dtype, torch.float32)))
        roots = (vectors * values.clamp_min(0).sqrt()).mT.to(y.dtype)
        squares = {f"{n} in": x.square() for n, x in inputs.items()}
        for some in roots.split(self._width):  # each backward pass has the memory of all parameters
            own, outs = mapped(back)(some)
            for name, x in {**own, **{f"{n} out": x for n, x in outs.items()}}.items():
                squares[name] = squares.get(name, 0) + x.square().sum(0)
        return squares

    def _run(
        self,
        output: Callable[[Mapping[str, Tensor]], Any],
        parameters: Mapping[str, Tensor],
        offsets: Mapping[str, Tensor],
    ) -> Any:
        """The output with some offsets; what linear layers see on the way is noted."""
        self._seen.clear()
        self._offsets = offsets
        try:
            return output(parameters)
        finally:
            self._offsets = {}

    def result(self) -> Mapping[str, Tensor]:
        """The mean by parameter name."""
        return {name: total / max(self._samples, 1) for name, total in self._sums.items()}

    merge = staticmethod(weighted_mean)


def _counts(x: Any) -> bool:
    """Whether an output is one that a loss may look at."""
    return isinstance(x, Tensor) and x.is_floating_point()


def _summed(name: str, found: Mapping[str, Tensor]) -> Tensor:
    """The squares of some examples' gradients, added up; of rank one, squares of both sides are multiplied."""
    if name in found:
        return found[name].sum(0)
    return found[f"{name} out"].flatten(1).T @ found[f"{name} in"].flatten(1)


def _linear(model: nn.Module, graph: ChannelGraph) -> list[str]:
    """Weights of linear layers that nothing but one call of their module uses."""
    used = [op.weight for op in graph.ops if op.weight]
    modules = {f"{name}.weight": module for name, module in model.named_modules() if type(module) is nn.Linear}
    return [n for n in modules if used.count(n) == 1 and n in graph.tensors and not graph.tensors[n].aliases]


def _single(x: Tensor, y: Tensor) -> bool:
    """Whether a linear layer saw one vector, of the one example."""
    return x.numel() == x.shape[-1] and y.numel() == y.shape[-1]
