"""The optimal brain surgeon's update with an empirical Fisher matrix: of the whole network, or in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from secateur.core.contracts import Collector, Known, Repair
from secateur.core.errors import IncompatibleError
from secateur.core.groups import Role
from secateur.core.paper import Paper
from secateur.core.plan import PruningPlan
from secateur.core.quadratic import factor
from secateur.evidence import ExampleGradient
from secateur.repair.base import repair, stored


@repair("fisher_update")
@dataclass(frozen=True, kw_only=True)
class FisherUpdate(Repair):
    """The weights that change the losses of single examples least, given which of them are zero.

    With blocks it is the update of `woodfisher`, over the whole network (`block=0`) that of `obs_full`. All parameters
    may move, biases and scales too, where something of their block went. It comes before `batch_norm`.

    Paper:   Singh, Alistarh, *WoodFisher: Efficient Second-Order Approximation for Neural Network Compression*,
             NeurIPS 2020. arXiv:2004.14340; for the whole network Hassibi, Stork, NIPS 1992
    Formula: w_K -= G_K^T (damping N I + G_K G_K^T)^-1 G d, the rows of G the gradients of N examples, K what stays of
             a block, d = -w for what went; it is the w_K += F_KK^-1 F_KP w_P of the surgeon, P what went,
             F = damping I + E_i[ g_i g_i^T ]
    Shapes:  gradients (N, *) of each parameter -> its change (*)
    Cost:    for n entries N^2 n multiply-accumulates, and N^3 / 3 for each block
    Differs: at once for all that go, which is what the surgeon's updates come to, one after another with the inverse of
             what is left, in any order; the paper's code adds up updates that know of one removal each. Gradients of
             single examples, at most 1,024. Of channels only the entries that consume them count as gone, so that no
             effect counts twice; whole residual blocks are not made up for. What another repair has moved counts in d.
             It holds as far as losses are linear in what went: where much goes at once it can leave more error than
             nothing does

    Attributes:
        block: entries of one block, neighbours of a tensor; 0 for one block, the whole network.
        damping: what is added to the diagonal.
    """

    block: int = 1024
    damping: float = 1e-5
    mends: ClassVar[Literal["outputs", "losses"]] = "losses"
    paper: ClassVar[Paper | None] = Paper("singh2020")
    needs: ClassVar[tuple[type[Collector], ...]] = (ExampleGradient,)

    def __post_init__(self) -> None:
        if self.block < 0 or not self.damping > 0:
            raise IncompatibleError(
                f"block must be 0 or more and damping above 0, got block={self.block!r}, damping={self.damping!r}."
            )

    def repair_(self, student: nn.Module, dense: nn.Module, plan: PruningPlan, known: Known) -> None:
        """Write the changed weights into `student`."""
        before, cut = dict(dense.named_parameters()), _cut(plan)
        parts = []
        for name, found in known.evidence[ExampleGradient].items():
            now, old = stored(student, name).detach().double().cpu(), before[name].detach().double().cpu()
            whole = torch.ones(old.shape, dtype=torch.bool)
            keep, lost = cut.get(name, (whole, ~whole))
            moved = torch.where(keep, now - old, 0) - old * lost
            parts.append(_Part(name, found.flatten(1), moved.flatten(), keep.flatten()))
        for block in self._blocks(parts):
            for part, change in zip(block, self._changes(block), strict=True):
                _add_(stored(student, part.name), part.start, change)

    @classmethod
    def examples(cls) -> list[FisherUpdate]:
        """In blocks, and over the whole network."""
        return [cls(), cls(block=0)]

    def _blocks(self, parts: Sequence[_Part]) -> Iterator[Sequence[_Part]]:
        blocks = ([piece] for part in parts for piece in part.split(self.block)) if self.block else [parts]
        return (block for block in blocks if any(bool(part.moved.any()) for part in block))

    def _changes(self, block: Sequence[_Part]) -> list[Tensor]:
        """By how much the entries of each part change."""
        count = len(block[0].gradients)
        matrix = self.damping * count * torch.eye(count, dtype=torch.float64)
        lost = torch.zeros(count, dtype=torch.float64)
        for part in block:
            rows = part.gradients.double()
            lost += rows @ part.moved
            rows = rows[:, part.keep]
            matrix += rows @ rows.T
        share = torch.cholesky_solve(lost.unsqueeze(1), factor(matrix, "the Fisher matrix")).squeeze(1)
        return [-(share.to(part.gradients) @ part.gradients).double() * part.keep for part in block]


def _cut(plan: PruningPlan) -> dict[str, tuple[Tensor, Tensor]]:
    """Of every parameter that is cut, which entries stay, and which are lost.

    Of channels only what consumes them is lost: that is zero, and to first order nothing else of them counts. What is
    masked besides, their filters for instance, would count the same effect again.
    """
    if not plan.is_structured:
        return {name: (keep.cpu(), ~keep.cpu()) for name, keep in plan.masks().items()}
    consumed = {(s.tensor, s.dim) for g in plan.channels for s in plan.graph.groups[g].slots_with(Role.CONSUMES)}
    found = {name: (keep.cpu(), torch.zeros_like(keep.cpu())) for name, keep in plan.masks().items()}
    for name, by_dim in plan.graph.dim_keeps(plan.channels).items():
        shape = [axis.size(plan.graph.full) for axis in plan.graph.tensors[name].axes]
        read = made = torch.ones(shape, dtype=torch.bool)
        for dim, keep in by_dim.items():
            along = keep.view([-1 if d == dim else 1 for d in range(len(shape))])
            read, made = (read & along, made) if (name, dim) in consumed else (read, made & along)
        found[name] = (read & made, ~read & made)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Some neighbouring entries of a parameter.

    Attributes:
        name: of the parameter.
        gradients: of single examples, `(N, entries)`.
        moved: by how much the student differs from the dense network, `(entries,)`.
        keep: which entries stay, `(entries,)`.
        start: the first entry.
    """

    name: str
    gradients: Tensor
    moved: Tensor
    keep: Tensor
    start: int = 0

    def split(self, size: int) -> Iterator[_Part]:
        for start in range(0, len(self.keep), size):
            own = slice(start, start + size)
            yield _Part(self.name, self.gradients[:, own], self.moved[own], self.keep[own], start)


def _add_(parameter: Tensor, start: int, change: Tensor) -> None:
    with torch.no_grad():
        parameter.view(-1)[start : start + len(change)] += change.to(parameter)
