"""The registry of collectors, and what several of them share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from math import prod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from secateur.core.contracts import Collector, Step
from secateur.core.groups import ChannelGraph, Role
from secateur.core.registry import Registry

COLLECTORS: Registry[type[Collector]] = Registry("collector")
collector = COLLECTORS

#: A layer whose weight is `(outputs, inputs, *kernel)`, transposed convolutions aside: `(inputs, outputs, *kernel)`.
Layer = nn.Linear | nn.modules.conv._ConvNd  # noqa: SLF001  the common base of all convolutions
#: `(weight name, layer, input)`, called whenever a layer runs.
See = Callable[[str, nn.Module, Tensor], None]


def weighted_mean(a: Mapping[str, Tensor], b: Mapping[str, Tensor], na: int, nb: int) -> Mapping[str, Tensor]:
    """Mean of two means over `na` and `nb` examples."""
    return {name: (a[name] * na + b[name] * nb) / (na + nb) for name in a}


def add_(sums: dict[str, Tensor], name: str, more: Tensor) -> None:
    """Add to a sum in place: new tensors for every batch, kept among large ones that go, would scatter the memory."""
    if name in sums:
        sums[name] += more
    else:
        sums[name] = more.clone()


def layers(model: nn.Module, names: set[str]) -> dict[str, nn.Module]:
    """The convolutions and linear layers behind those of the weight `names` that belong to one."""
    found: dict[str, nn.Module] = {}
    for name in sorted(names):
        owner, _, leaf = name.rpartition(".")
        module = model.get_submodule(owner)
        if leaf == "weight" and isinstance(module, Layer):
            found[name] = module
    return found


def consumers(graph: ChannelGraph) -> set[str]:
    """Names of the weights that consume a group which may be cut."""
    return {slot.tensor for group in graph.cuttable.values() for slot in group.slots_with(Role.CONSUMES)}


def weighing(graph: ChannelGraph) -> set[str]:
    """Names of the weights of all operators that cost multiply-accumulates."""
    return {op.weight for op in graph.ops if op.weight and not graph.tensors[op.weight].buffer}


@contextmanager
def watching_inputs(watched: Mapping[str, nn.Module], see: See, *, attached: bool = False) -> Iterator[None]:
    """Call `see` with the input of every layer that runs inside the context, detached unless `attached`."""

    def hook(name: str) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        def look(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            x: Tensor = args[0] if args else kwargs["input"]
            see(name, module, x if attached else x.detach())

        return look

    handles = [m.register_forward_pre_hook(hook(n), with_kwargs=True) for n, m in watched.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def channels_first(module: nn.Module, x: Tensor) -> Tensor:
    """The input of a convolution or linear layer with its channels in front, `(channels, everything else)`."""
    return (x.movedim(-1, 0) if isinstance(module, nn.Linear) else x.movedim(-1 - _places(module), 0)).flatten(1)


def _places(module: nn.Module) -> int:
    """How many dims of a convolution's input are places: a batch may or may not come before the channels."""
    assert isinstance(module, Layer)
    return module.weight.ndim - 2


def maps(module: nn.Module, x: Tensor) -> Tensor:
    """The input of a layer as its weight's consuming dim counts it, example by example: `(examples, entries, places)`.

    The first dim of a batch holds the examples. Groups of a grouped convolution have their weight's entries in common,
    so their channels lie side by side among the places.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    if isinstance(module, nn.Linear):
        return x.reshape(1 if x.ndim == 1 else len(x), -1, x.shape[-1]).mT
    assert isinstance(module, nn.modules.conv._ConvNd)  # noqa: SLF001  nothing else is a layer
    flat = (x if x.ndim == module.weight.ndim else x.unsqueeze(0)).flatten(2)
    if module.groups == 1 or module.transposed:
        return flat
    return torch.unflatten(flat, 1, (module.groups, -1)).transpose(1, 2).flatten(2)


class InputAverage(Collector):
    """The mean over examples of a figure about what each layer receives that consumes a cuttable group.

    Shapes: weight name -> `(entries of the weight's consuming dim,)`; an entry that no cuttable group owns may be 0.
    """

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Hook the consuming layers."""
        self._graph = graph
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        return watching_inputs(layers(model, consumers(graph)), self._see, attached=True)

    def _see(self, name: str, module: nn.Module, x: Tensor) -> None:
        with torch.no_grad():
            found = self.figures(name, module, x)
            added = found.sum(0, dtype=torch.promote_types(found.dtype, torch.float32)).cpu()
        add_(self._sums, name, added)
        self._counts[name] = self._counts.get(name, 0) + len(found)

    @abstractmethod
    def figures(self, name: str, module: nn.Module, x: Tensor) -> Tensor:
        """The figure for every example and entry, `(examples, entries)`, of the input `x` of the layer `module`."""

    def units(self, name: str) -> Iterator[Tensor]:
        """For every cuttable group that the weight `name` consumes, which entries belong to each unit: `(units, k)`."""
        for group in self._graph.cuttable.values():
            yield from (slot.index for slot in group.slots_with(Role.CONSUMES) if slot.tensor == name)

    def update(self, step: Step) -> None:
        """The hooks have seen the batch already."""

    def result(self) -> Mapping[str, Tensor]:
        """The means by weight name."""
        return {name: found / self._counts[name] for name, found in self._sums.items()}

    merge = staticmethod(weighted_mean)


def total(x: Tensor) -> Tensor:
    """Sum over all but the first dim, on the CPU, in at least float32."""
    return x.flatten(1).sum(1, dtype=torch.promote_types(x.dtype, torch.float32)).cpu()


def patches(module: nn.Module, x: Tensor) -> Tensor:
    """What each output of a layer sees of its input `x`, group by group: `(groups, outputs, entries)`.

    The entries are in the order of `weight.flatten(1)`, so that a row of it times a patch is one output, without bias.
    Outputs are all places of all examples.

    Raises:
        NotImplementedError: a transposed convolution, whose outputs see different numbers of entries.
    """
    found, places = _windows(module, x)
    # (groups, B, *places, channels of one group, *kernel) -> (groups, B * places, channels * kernel)
    return found.flatten(2 + places).flatten(1, 1 + places)


def patch_sums(module: nn.Module, x: Tensor) -> tuple[Tensor, int]:
    """The sum of all `patches`, `(groups, entries)` in float64, and how many there are; no patch is copied.

    Places of an example are added up in the precision of `x`, at least float32, and examples in float64.
    """
    found, places = _windows(module, x)
    sums = found.sum(tuple(range(2, 2 + places))) if places else found
    return sums.sum(1, dtype=torch.float64).flatten(1), prod(found.shape[1 : 2 + places])


def _windows(module: nn.Module, x: Tensor) -> tuple[Tensor, int]:
    """A view of the patches, `(groups, B, *places, channels of one group, *kernel)`, and how many dims places have."""
    if isinstance(module, nn.Linear):
        return x.reshape(1, -1, x.shape[-1]), 0
    assert isinstance(module, nn.modules.conv._ConvNd)  # noqa: SLF001  nothing else is a layer
    if module.transposed:
        raise NotImplementedError("transposed convolutions have no patches")
    dims = len(module.kernel_size)
    x = x.unsqueeze(0) if x.ndim == dims + 1 else x
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    x = F.pad(x, module._reversed_padding_repeated_twice, mode=mode)  # noqa: SLF001  it knows "same" as well
    for dim, (size, step, gap) in enumerate(zip(module.kernel_size, module.stride, module.dilation, strict=True), 2):
        x = x.unfold(dim, (size - 1) * gap + 1, step)[..., ::gap]
    # x has the dims B, channels, places, kernel by now
    return x.unflatten(1, (module.groups, -1)).movedim(2, 2 + dims).movedim(1, 0), dims


class GradientAverage(Collector):
    """What `of` makes of the gradient of each batch's mean loss, averaged over batches weighted by their examples.

    Shapes: parameter name -> tensor in the parameter's shape, at least float32, on the CPU.
    """

    wants_gradients: ClassVar[bool] = True

    @staticmethod
    @abstractmethod
    def of(gradient: Tensor) -> Tensor:
        """A tensor in the gradient's shape."""

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Begin at zero."""
        self._sums = {n: torch.zeros_like(p, dtype=torch.promote_types(p.dtype, torch.float32), device="cpu")
                      for n, p in model.named_parameters()}  # fmt: skip
        self._samples = 0
        return nullcontext()

    def update(self, step: Step) -> None:
        """Add one batch."""
        self._samples += step.samples
        for name, gradient in step.gradients.items():
            self._sums[name] += self.of(gradient.to(self._sums[name])) * step.samples

    def result(self) -> Mapping[str, Tensor]:
        """The mean by parameter name."""
        return {name: found / max(self._samples, 1) for name, found in self._sums.items()}

    merge = staticmethod(weighted_mean)
