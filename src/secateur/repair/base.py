"""The registry of repairs, and what those share that fit weights anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from secateur.core.contracts import Repair
from secateur.core.errors import IncompatibleError
from secateur.core.plan import PruningPlan
from secateur.core.quadratic import fitting_work
from secateur.core.registry import Registry
from secateur.evidence.base import layers

REPAIRS: Registry[type[Repair]] = Registry("repair")
repair = REPAIRS

#: Multiply-accumulates that the factorisations for one layer may take.
LIMIT = 4 * 10**12


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A layer that has lost some of its weights, but not all.

    Attributes:
        name: of its weight.
        dense: the layer as it was.
        student: the layer as it is.
        keep: which entries stay, `(groups, rows, entries)`; a row that is dead keeps none.
    """

    name: str
    dense: nn.Module
    student: nn.Module
    keep: Tensor

    @property
    def weight(self) -> Tensor:
        """The dense weights, `(groups, rows, entries)` in float64."""
        return self._rows(self.dense)

    @property
    def masked(self) -> Tensor:
        """The student's weights, `(groups, rows, entries)` in float64."""
        return self._rows(self.student)

    @property
    def shift(self) -> Tensor:
        """By how much the student's bias differs from the dense one, `(groups, rows)`; 0 for rows that are dead."""
        old, new = self.dense.bias, self.student.bias
        if not isinstance(old, Tensor) or not isinstance(new, Tensor):
            return torch.zeros(self.keep.shape[:2], dtype=torch.float64)
        return (new - old).detach().double().cpu().view(self.keep.shape[:2]) * self.keep.any(2)

    def write_(self, weight: Tensor) -> None:
        """Give the student these weights where entries stay; what is dead is left alone."""
        own = stored(self.student, "weight")
        stays = self.keep.reshape(own.shape).to(own.device)
        with torch.no_grad():
            own.copy_(torch.where(stays, weight.reshape(own.shape).to(own), own))

    def _rows(self, layer: nn.Module) -> Tensor:
        assert isinstance(layer.weight, Tensor)
        return layer.weight.detach().double().cpu().reshape(self.keep.shape)


def stored(student: nn.Module, name: str) -> Tensor:
    """The tensor behind a parameter of a masked network, which the mask is multiplied with where there is one."""
    place, _, leaf = name.rpartition(".")
    owner = student.get_submodule(place)
    chain = getattr(owner, "parametrizations", {})
    found = chain[leaf].original if leaf in chain else getattr(owner, leaf)
    assert isinstance(found, Tensor)
    return found


def cuts(student: nn.Module, dense: nn.Module, plan: PruningPlan) -> list[Cut]:
    """The convolutions and linear layers of which `plan` takes weights, in order of execution.

    Transposed convolutions are not among them, nor layers that share their weight with others.
    """
    masks = {name: keep for name, keep in plan.masks().items() if not bool(keep.all())}
    order = dict.fromkeys(op.weight for op in plan.graph.ops if op.weight in masks)
    found = layers(dense, set(order))
    made = []
    for name in order:
        layer = found.get(name)
        if layer is None or getattr(layer, "transposed", False) or plan.graph.tensors[name].aliases:
            continue
        keep = masks[name].cpu()
        rows = keep.reshape(int(getattr(layer, "groups", 1)), -1, keep[0].numel())
        if bool((rows.any(2) & ~rows.all(2)).any()):
            made.append(Cut(name, layer, student.get_submodule(name.rpartition(".")[0]), rows))
    return made


def check_work(found: list[Cut]) -> None:
    """Refuse layers of which each row keeps other entries, and many.

    Raises:
        IncompatibleError: fitting one of them would take too long.
    """
    for cut in found:
        work = fitting_work(cut.keep)
        if work > LIMIT:
            raise IncompatibleError(
                f"fitting the rows of {cut.name!r}, which keep different entries each, would be about {work:.0e} "
                f"multiply-accumulates; {LIMIT:.0e} are allowed. Use sparsegpt_update, which takes all rows at once."
            )


@contextmanager
def resting(model: nn.Module) -> Iterator[None]:
    """Eval mode inside; every module's own mode afterwards."""
    modes: Mapping[nn.Module, bool] = {m: m.training for m in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
