"""Small networks and data for the oracles, and what their layers see, by slicing in numpy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from secateur.core.contracts import Batch, Collector, Criterion
from secateur.core.evidence import Evidence
from secateur.core.groups import ChannelGraph
from secateur.core.rng import generator
from secateur.evidence import collect
from secateur.granularity import Channel
from secateur.graph.trace import trace
from secateur.planning import score

Array = np.ndarray


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers in float64."""
    return torch.randn(*shape, generator=generator(seed, "oracle"), dtype=torch.float64)


def seeded_(model: nn.Module) -> nn.Module:
    """Random weights that depend on nothing but their names."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            fresh = torch.randn(parameter.shape, generator=generator(0, name), dtype=torch.float64)
            parameter.copy_(fresh / max(parameter[0].numel(), 1) ** 0.5)
    return model.double().eval()


def convolutions() -> nn.Module:
    """A grouped convolution with padding and a stride among plain layers."""
    return seeded_(
        nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.Tanh(),
            nn.Conv2d(4, 6, (3, 2), padding=(1, 0), stride=(2, 1), groups=2),
            nn.Sigmoid(),
            nn.Flatten(),
            nn.Linear(6 * 3 * 4, 3),
        )
    )


def batches(count: int = 3, size: int = 8) -> list[Batch]:
    """Pictures of 2 channels, 5 x 5, and classes."""
    return [
        (numbers(size, 2, 5, 5, seed=s), torch.randint(3, (size,), generator=generator(s, "class")))
        for s in range(count)
    ]


def evidence_of(
    model: nn.Module, data: list[Batch], needs: tuple[type[Collector], ...]
) -> tuple[ChannelGraph, Evidence]:
    """The graph, and evidence by cross-entropy."""
    graph = trace(model, data[0][0])
    return graph, collect(model, data, needs, graph=graph)


def saliencies(criterion: Criterion, model: nn.Module, data: list[Batch], names: list[str]) -> dict[str, Array]:
    """What an element criterion says of some weights."""
    _, evidence = evidence_of(model, data, criterion.needs)
    return {name: criterion.saliency(name, evidence).double().numpy() for name in names}  # type: ignore[attr-defined]


def unit_scores(criterion: Criterion, model: nn.Module, data: list[Batch]) -> Mapping[str, Array]:
    """What a criterion says of channels, by group."""
    graph, evidence = evidence_of(model, data, criterion.needs)
    return {name: x.numpy() for name, x in score(graph, criterion, evidence, granularity=Channel()).values.items()}


def seen_by(model: nn.Module, data: list[Batch], name: str) -> list[Array]:
    """For every group of the layer of the weight `name` all that its outputs see, `(places, entries)`."""
    layer = model.get_submodule(name.rpartition(".")[0])
    inputs: list[Array] = []
    handle = layer.register_forward_hook(lambda m, args, y: inputs.append(args[0].detach().numpy()))
    with torch.no_grad():
        for x, _ in data:
            model(x)
    handle.remove()
    x = np.concatenate(inputs)
    if isinstance(layer, nn.Linear):
        return [x.reshape(-1, x.shape[-1])]
    assert isinstance(layer, nn.Conv2d)
    (up, left), (down, right), (kh, kw) = layer.padding, layer.stride, layer.kernel_size
    x = np.pad(x, ((0, 0), (0, 0), (up, up), (left, left)))
    per = layer.in_channels // layer.groups
    rows: list[list[Array]] = [[] for _ in range(layer.groups)]
    for example in x:
        for i in range(0, example.shape[1] - kh + 1, down):
            for j in range(0, example.shape[2] - kw + 1, right):
                for group in range(layer.groups):
                    part = example[group * per : (group + 1) * per, i : i + kh, j : j + kw]
                    rows[group].append(part.reshape(-1))
    return [np.stack(one) for one in rows]


def rows_of(model: nn.Module, name: str, groups: int) -> list[Array]:
    """The rows of a weight, group by group, `(rows, entries)`."""
    weight = model.get_parameter(name).detach().numpy()
    return [part.reshape(len(part), -1) for part in np.split(weight, groups)]


def moments(seen: Array, damping: float) -> Array:
    """Damped second moments, written out."""
    gram = seen.T @ seen / len(seen)
    return gram + damping * np.trace(gram) / len(gram) * np.eye(len(gram))


def refit(gram: Array, row: Array, gone: list[int]) -> tuple[Array, float]:
    """The row without `gone` whose squared error is least, and that error: solved from scratch."""
    stays = [q for q in range(len(row)) if q not in gone]
    root = np.linalg.cholesky(gram).T  # gram = root^T root, so the error is |root (w' - w)|^2
    fitted = np.zeros_like(row)
    fitted[stays] = np.linalg.lstsq(root[:, stays], root @ row, rcond=None)[0]
    return fitted, float(np.sum((root @ (fitted - row)) ** 2))


def worst(found: Array | Tensor, wanted: Array | Tensor) -> float:
    """Largest difference, relative to the largest wanted number."""
    a, b = np.asarray(found), np.asarray(wanted)
    assert a.shape == b.shape
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-300))
