"""The one function that makes networks smaller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from secateur.core.copying import copied
from secateur.core.groups import Attribute, ChannelGraph, Rescaling
from secateur.graph.attention import settle_fast_paths_

#: Memory layouts beside the usual one, and for how many dims they exist.
_LAYOUTS = ((torch.channels_last, 4), (torch.channels_last_3d, 5))


def cut_(model: nn.Module, graph: ChannelGraph, kept: Mapping[str, Tensor], removed: Sequence[str] = ()) -> None:
    """Remove from every tensor of `model` the entries of units that are not kept, and refresh what follows widths.

    Parameters stay the same objects, so that ties, hooks and `requires_grad` survive; gradients are cut alongside.
    What changes gets memory of its own: tensors that share theirs with other models are cut, and the others are not.

    Args:
        model: changed in place.
        graph: where the units live.
        kept: group name to boolean `(units,)`; groups not named keep all.
        removed: modules that an identity takes the place of.
    """
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    widths = graph.widths(kept)
    with torch.no_grad():
        if all(tensor.is_meta and tensor.grad is None for tensor in tensors.values()):
            _shorten_(tensors, graph.dim_sizes(kept))
        else:
            _cut_(tensors, graph, kept, widths)
    refresh_(model, graph.attributes, widths)
    settle_fast_paths_(model)
    remove_(model, removed)


def cut_copy(
    model: nn.Module, graph: ChannelGraph, kept: Mapping[str, Tensor], removed: Sequence[str] = ()
) -> nn.Module:
    """A copy of `model` that is cut like `cut_`. Of its parameters only what stays is ever copied."""
    plain = [p for p in model.parameters() if type(p) is nn.Parameter]
    small = copied(model, {id(p): nn.Parameter(p.detach(), p.requires_grad) for p in plain})
    own = list(small.parameters())  # of modules that are taken out, too: somebody may hold on to them
    cut_(small, graph, kept, removed)
    theirs = {p.data_ptr() for p in plain}
    for p in own:
        p.data = p.data.clone() if p.data_ptr() in theirs else p.data
    return small


def _shorten_(tensors: Mapping[str, Tensor], sizes: Mapping[str, Mapping[int, int]]) -> None:
    """Cut tensors without numbers: how many entries stay is all there is to them."""
    for name, by_dim in sizes.items():
        tensor = tensors[name]
        shape = [by_dim.get(dim, size) for dim, size in enumerate(tensor.shape)]
        tensor.data = torch.empty(shape, dtype=tensor.dtype, device="meta", memory_format=_layout(tensor))


def _cut_(
    tensors: Mapping[str, Tensor], graph: ChannelGraph, kept: Mapping[str, Tensor], widths: Mapping[str, int]
) -> None:
    """Cut tensors, and rescale what makes up for numbers that follow a width."""
    keeps = graph.dim_keeps(kept)
    for name, by_dim in keeps.items():
        tensor = tensors[name]
        index = {d: keep.nonzero().flatten().to(tensor.device) for d, keep in by_dim.items()}
        if tensor.grad is not None:
            grad, tensor.grad = _select(tensor.grad, index), None
            tensor.data = _select(tensor.data, index)
            tensor.grad = grad
        else:
            tensor.data = _select(tensor.data, index)
    for one in graph.rescalings:
        factor = one.factor(graph.full, widths)
        if factor != 1.0:
            _rescale_(tensors[one.tensor], one, factor, keeps.get(one.tensor, {}))


def _rescale_(tensor: Tensor, one: Rescaling, factor: float, keeps: Mapping[int, Tensor]) -> None:
    """Multiply what is left of the entries of a tensor that has been cut along the dims of `keeps`."""
    if not keeps:
        tensor.data = tensor.data.clone()  # it may share its memory with other models
    entries = one.entries
    if one.dim in keeps:
        left = keeps[one.dim]
        entries = (left.cumsum(0) - 1)[entries[left[entries]]]
    entries = entries.to(tensor.device)
    tensor.data.index_copy_(one.dim, entries, tensor.data.index_select(one.dim, entries) * factor)


def remove_(model: nn.Module, names: Iterable[str]) -> None:
    """Put an identity in the place of modules, under every name that they have; all other paths stay as they are."""
    modules = dict(model.named_modules(remove_duplicate=False))
    for module in [modules[name] for name in names]:
        identity = nn.Identity().train(module.training)
        for path in [path for path, other in modules.items() if other is module]:
            owner, _, leaf = path.rpartition(".")
            setattr(modules[owner], leaf, identity)


def refresh_(model: nn.Module, attributes: Iterable[Attribute], widths: Mapping[str, int]) -> None:
    """Set the integers that modules keep to what they are at `widths`."""
    for attribute in attributes:
        module = model.get_submodule(attribute.module)
        size = attribute.axis.size(widths)
        if attribute.item is not None:
            old = getattr(module, attribute.name)
            items = [size if i == attribute.item else v for i, v in enumerate(old)]
            setattr(module, attribute.name, items if isinstance(old, list) else tuple(items))
        else:
            setattr(module, attribute.name, size)


def _select(tensor: Tensor, index: Mapping[int, Tensor]) -> Tensor:
    """The kept entries, laid out in memory as before (a channels-last weight stays channels-last)."""
    smaller = tensor
    for dim, entries in index.items():
        smaller = smaller.index_select(dim, entries)
    return smaller.contiguous(memory_format=_layout(tensor))


def _layout(tensor: Tensor) -> torch.memory_format:
    found = (f for f, n in _LAYOUTS if tensor.ndim == n and tensor.is_contiguous(memory_format=f))
    return next(found, torch.contiguous_format)
