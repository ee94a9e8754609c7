"""Normalisations: batch norm works unit by unit; layer and group norm reduce over units and need live statistics."""

from __future__ import annotations

from math import prod

from torch import Tensor, nn

from secateur.core.groups import Role
from secateur.graph.labels import State
from secateur.graph.rules.base import Site, rule


def _affine(
    site: Site, labels: Tensor | None, weight: str = "weight", bias: str = "bias"
) -> tuple[Tensor | None, bool]:
    """Join 1-D gamma and beta to the units they act on; returns the units, and whether dead ones come out as zero."""
    w, b = site.state(weight), site.state(bias)
    for state, role in ((w, Role.SCALES), (b, Role.SHIFTS)):
        if state is not None:
            labels = site.join(labels, state.labels[0])
            site.play(state, 0, role)
    return labels, w is not None and w.silent[0] and (b is None or b.silent[0])


def _statistics(site: Site, labels: Tensor | None) -> list[State]:
    """States of the further outputs, saved statistics: they are one to a unit where their last dim is as long."""
    size = -1 if labels is None else len(labels)
    states = []
    for shape in site.output_shapes[1:]:
        free = State.free(len(shape))
        states.append(State((*free.labels[:-1], labels), free.silent) if shape and shape[-1] == size else free)
    return states


@rule(
    "aten::native_batch_norm",
    "aten::_native_batch_norm_legit",
    "aten::_native_batch_norm_legit_no_training",
    "aten::cudnn_batch_norm",
)
def batch_norm(site: Site) -> list[State]:
    """Every channel on its own: input `(B, C, ..)`; weight, bias and running statistics `(C,)`."""
    x = site.state("input")
    assert x is not None
    labels = x.labels[1]
    for name in ("running_mean", "running_var"):
        tracked = site.state(name)
        if tracked is not None:
            labels = site.join(labels, tracked.labels[0])
            site.play(tracked, 0, Role.TRACKS)
    labels, silent = _affine(site, labels)
    made: list[Tensor | None] = [None] * len(x.labels)
    quiet = [False] * len(x.labels)
    made[1], quiet[1] = labels, silent
    for d in (0, *range(2, len(x.labels))):
        # Weights are standardised by a batch norm without running statistics, over the inputs of each filter.
        if site.state("running_mean") is not None:
            site.pin(x.labels[d], "normalises over it")
        elif _over(site, x.labels[d], d, "batch_norm"):
            made[d], quiet[d] = x.labels[d], site.state("bias") is None
            shape = site.shape("input")
            if prod(shape) == shape[1] * shape[d]:  # of one number there is none
                site.at_least(x.labels[d], 2, "takes the variance over it alone")
    _follow(site, labels)
    return [State(tuple(made), tuple(quiet), x.static, x.source), *_statistics(site, labels)]


def _over(site: Site, labels: Tensor | None, dim: int, function: str) -> bool:
    """The statistics are taken over `dim`, too: whether the masked network can leave dead entries out."""
    return site.live(labels, dim, site.shape("input")[dim], (function,), "normalises over it")


def _follow(site: Site, labels: Tensor | None) -> None:
    """A norm without any tensor still keeps the number of its channels."""
    width = getattr(site.module, "num_features", 0)
    if labels is not None and isinstance(site.module, nn.modules.batchnorm._NormBase) and width > 1:  # noqa: SLF001  no public base
        site.atoms.sizes.append((labels[:width], site.call.module, "num_features"))


@rule("aten::native_layer_norm")
def layer_norm(site: Site) -> list[State]:
    """Statistics over the last dims; cutting one of them needs live statistics in the masked network."""
    x = site.state("input")
    assert x is not None
    first = len(x.labels) - len(site.literal("normalized_shape"))
    labels, silent = list(x.labels), [False] * len(x.labels)
    w, b = site.state("weight"), site.state("bias")
    for d in range(first, len(x.labels)):
        for state, role in ((w, Role.SCALES), (b, Role.SHIFTS)):
            if state is not None:
                labels[d] = site.join(labels[d], state.labels[d - first])
                site.play(state, d - first, role)
        free = _over(site, labels[d], d, "layer_norm")
        labels[d] = labels[d] if free else None
        silent[d] = free and (b is None or b.silent[d - first])  # the masked network's norm leaves zero of dead entries
    return [State(tuple(labels), tuple(silent), x.static, x.source), *_statistics(site, None)]


@rule("aten::native_group_norm")
def group_norm(site: Site) -> list[State]:
    """Statistics over the channels of each group; groups keep their number and all lose the same positions."""
    x = site.state("input")
    assert x is not None
    groups = int(site.literal("group"))
    labels, silent = _affine(site, x.labels[1])
    if labels is not None and groups < len(labels):
        rows = labels.view(groups, -1)
        for row in rows[1:]:
            site.join(row, rows[0])
        bias = site.state("bias")
        silent = _over(site, labels, 1, "group_norm") and (bias is None or bias.silent[0])
    for d in (0, *range(2, len(x.labels))):
        site.pin(x.labels[d], "normalises over it")
    rest, per_group = len(x.labels) - 2, labels if labels is not None and groups == len(labels) else None
    return [
        State((None, labels, *[None] * rest), (False, silent, *[False] * rest), x.static, x.source),
        *_statistics(site, per_group),
    ]
