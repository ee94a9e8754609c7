"""What classifiers in the middle of a network ask of the weights in front of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from secateur.core.contracts import Collector, Step
from secateur.core.groups import ChannelGraph
from secateur.evidence.base import Layer, collector, consumers, layers, weighing, weighted_mean

#: Classifiers in the middle; the network's own comes last.
HEADS = 2
#: Steps of training for each batch, and their size; the network itself stands still.
_STEPS, _RATE = 5, 0.02


class Head(nn.Module):
    """Batch norm, ReLU, average over places, linear: `(B, places, channels)` to `(B, classes)`.

    The linear layer begins at zero, so nothing is random. The norm uses the statistics of the batch.
    """

    def __init__(self, channels: int, classes: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels, dtype=dtype))
        self.shift = nn.Parameter(torch.zeros(channels, dtype=dtype))
        self.weight = nn.Parameter(torch.zeros(classes, channels, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(classes, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        variance, mean = torch.var_mean(x, (0, 1), correction=0)
        x = (x - mean) / (variance + 1e-5).sqrt() * self.scale + self.shift
        return x.relu().mean(1) @ self.weight.mT + self.bias


@collector("discrimination")
class Discrimination(Collector):
    """Gradient, for each weight that reads a cuttable group, of the loss of the next classifier behind it.

    Classifiers are attached to the outputs of layers at even distances, and trained for two walks through the data
    while the network stands still; the third walk gathers gradients. The network's own loss is the last of them, and
    the only one where its output is no `(B, classes)`.

    Formula: D = E[ dL_p / dW ], L_p the loss of the first classifier that W has a part in
    Shapes:  weight name -> tensor in the weight's shape
    Cost:    three forward passes and `HEADS + 1` backward passes per batch
    """

    runs_itself: ClassVar[bool] = True
    walks: ClassVar[int] = 3
    additive: ClassVar[bool] = False  # what the classifiers learn depends on all the data

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Choose where classifiers go."""
        self._model = model
        found = layers(model, weighing(graph))
        order = [name for name in dict.fromkeys(op.weight for op in graph.ops) if name in found][:-1]
        places = [(number + 1) * len(order) // (HEADS + 1) for number in range(HEADS)] if order else []
        self._watched = {order[place]: found[order[place]] for place in places}
        self._weights = {n: p for n, p in model.named_parameters() if n in consumers(graph)}
        self._sums = {n: torch.zeros_like(p, dtype=_wide(p), device="cpu") for n, p in self._weights.items()}
        self._samples = 0
        self._seen: dict[str, Tensor] = {}
        self.heads: dict[str, Head] | None = None
        return self._watching()

    @contextmanager
    def _watching(self) -> Iterator[None]:
        handles = [module.register_forward_hook(self._hook(name)) for name, module in self._watched.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def see(module: nn.Module, _: Any, output: Tensor) -> None:
            assert isinstance(module, Layer)
            places = 0 if isinstance(module, nn.Linear) else module.weight.ndim - 2
            # A copy, since what comes next may write into the output.
            self._seen[name] = output.movedim(output.ndim - 1 - places, -1).clone()

        return see

    def update(self, step: Step) -> None:
        """Train the classifiers on the batch, or gather its gradients in the last walk."""
        if step.walk < self.walks - 1:
            self._train(step)
            return
        with torch.enable_grad():
            output = step.example.call(self._model)
            losses = [step.loss(self._logits(name, output), step.target) for name in self.heads or {}]
            left = dict(self._weights)
            for loss in [*losses, step.loss(output, step.target)]:
                if left and loss.requires_grad:
                    asked = torch.autograd.grad(loss, list(left.values()), retain_graph=True, allow_unused=True)
                    found = {n: g for n, g in zip(left, asked, strict=True) if g is not None}
                    for name, gradient in found.items():
                        self._sums[name] += gradient.to(self._sums[name]) * step.samples
                        del left[name]
        self._samples += step.samples
        self._seen.clear()

    def result(self) -> Mapping[str, Tensor]:
        """The mean gradients by weight name."""
        return {name: found / max(self._samples, 1) for name, found in self._sums.items()}

    merge = staticmethod(weighted_mean)

    def _train(self, step: Step) -> None:
        with torch.no_grad():
            output = step.example.call(self._model)
        if self.heads is None:
            self.heads = self._made(output)
            trained = [p for head in self.heads.values() for p in head.parameters()]
            self._optimizer = torch.optim.Adam(trained, lr=_RATE) if trained else None
        if self._optimizer is None:
            return
        with torch.enable_grad():
            for _ in range(_STEPS):
                self._optimizer.zero_grad()
                losses = [step.loss(self._logits(name, output), step.target) for name in self.heads]
                torch.stack(losses).sum().backward()
                self._optimizer.step()
        self._seen.clear()

    def _made(self, output: Any) -> dict[str, Head]:
        """Classifiers behind those layers whose outputs belong to single examples."""
        if not isinstance(output, Tensor) or output.ndim != 2:
            return {}
        fitting = {name: x for name, x in self._seen.items() if x.ndim > 1 and x.shape[0] % output.shape[0] == 0}
        return {
            name: Head(fitting[name].shape[-1], output.shape[1], _wide(output)).to(output.device)
            for name in self._watched
            if name in fitting
        }

    def _logits(self, name: str, output: Tensor) -> Tensor:
        """What a classifier says of the batch; the windows of one image are places like others."""
        assert self.heads is not None
        x = self._seen[name]
        found: Tensor = self.heads[name](x.reshape(output.shape[0], -1, x.shape[-1]).to(_wide(x)))
        return found


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
