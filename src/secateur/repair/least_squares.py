"""Fit each cut layer to the dense layer's outputs, on the inputs that it gets now."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from secateur.core.contracts import Known, Repair
from secateur.core.copying import copied
from secateur.core.errors import IncompatibleError, MissingEvidenceError
from secateur.core.example import Example
from secateur.core.paper import Paper
from secateur.core.plan import PruningPlan
from secateur.core.quadratic import check_damping, damped, fitted
from secateur.evidence.base import patches, watching_inputs
from secateur.repair.base import Cut, check_work, cuts, repair, resting


@repair("least_squares")
@dataclass(frozen=True, kw_only=True)
class LeastSquares(Repair):
    """The weights with which a cut layer, seeing what the layers before it give now, comes closest to the dense one.

    Layer by layer in order of execution, so that each makes up for what is still wrong in front of it; `obs_update`
    takes the inputs of the dense network instead and needs no passes of its own. Biases stay as they are. It comes
    after `fold_constant` and before `batch_norm`.

    Paper:   He, Zhang, Sun, *Channel Pruning for Accelerating Very Deep Neural Networks*, ICCV 2017, Sec. 3.1
             (reconstruction). arXiv:1707.06168
    Formula: min over w_K of E[ (y - b - w_K x_K)^2 ], y the dense layer's outputs, x what the student's sees, b its
             bias
    Cost:    for each cut layer one forward pass of both networks per batch, and |K|^3 / 3 for each set of kept entries,
             at most 4e12; memory entries^2
    Differs: the paper takes some places of each picture, here all count; damped by a share of the mean diagonal,
             towards the weights that the student has. Transposed convolutions and weights that layers share are left
             alone

    Attributes:
        batches: use at most so many batches.
        damping: what is added to the diagonal of E[x x^T], as a share of its mean.
    """

    batches: int = 8
    damping: float = 1e-4
    paper: ClassVar[Paper | None] = Paper("he2017")

    def __post_init__(self) -> None:
        check_damping(self.damping)
        if self.batches < 1:
            raise IncompatibleError(f"batches must be 1 or more, got batches={self.batches!r}. A few are enough.")

    def repair_(self, student: nn.Module, dense: nn.Module, plan: PruningPlan, known: Known) -> None:
        """Write the fitted weights into `student`, layer after layer."""
        reference = copied(dense).eval()
        found = cuts(student, reference, plan)
        check_work(found)
        with resting(student), torch.no_grad(), torch.random.fork_rng(devices=[]):
            for cut in found:
                sums = _Sums(cut)
                seen = 0
                for seen, (inputs, _) in enumerate(islice(known.batches, self.batches), 1):  # noqa: B007
                    sums.add(reference, student, Example.of(inputs))
                if not seen:
                    raise MissingEvidenceError(
                        "data holds no batches. Pass a non-empty iterable that can be walked through again."
                    )
                if sums.rows:  # a layer that never ran as a module, inside of torch's attention, is left alone
                    cut.write_(self._fitted(cut, sums))

    def _fitted(self, cut: Cut, sums: _Sums) -> Tensor:
        gram = sums.gram / sums.rows
        linear = sums.cross / sums.rows - cut.masked @ gram
        matrix = damped(gram, self.damping)
        return cut.masked + fitted(matrix, linear, cut.keep, f"the matrix of second moments of what {cut.name!r} sees")


class _Sums:
    """What a fit takes: products of what the student's layer sees with itself and with the dense layer's outputs."""

    def __init__(self, cut: Cut) -> None:
        groups, rows, entries = cut.keep.shape
        self.cut, self.rows = cut, 0
        self.gram = torch.zeros(groups, entries, entries, dtype=torch.float64)
        self.cross = torch.zeros(groups, rows, entries, dtype=torch.float64)

    def add(self, dense: nn.Module, student: nn.Module, example: Example) -> None:
        """Run both networks on one batch.

        Raises:
            IncompatibleError: the student calls the layer more or less often than the dense network.
        """
        wanted: list[Tensor] = []
        handle = self.cut.dense.register_forward_hook(lambda m, args, y: wanted.append(y))
        try:
            example.call(dense)
        finally:
            handle.remove()
        seen: list[Tensor] = []

        def see(name: str, module: nn.Module, x: Any) -> None:
            seen.append(patches(module, x.to(torch.promote_types(x.dtype, torch.float32))))

        with watching_inputs({self.cut.name: self.cut.student}, see):
            example.call(student)
        if len(seen) != len(wanted):
            raise IncompatibleError(
                f"the dense network runs the layer of {self.cut.name!r} {len(wanted)} times and the masked one "
                f"{len(seen)} times, so their outputs cannot be compared. Use obs_update."
            )
        for x, y in zip(seen, wanted, strict=True):
            self._add(x, y)

    def _add(self, x: Tensor, y: Tensor) -> None:
        """`x` is `(groups, places, entries)`."""
        last = isinstance(self.cut.student, nn.Linear)
        places = len(getattr(self.cut.student, "kernel_size", ()))
        target = (y.movedim(-1, 0) if last else y.movedim(-1 - places, 0)).flatten(1).to(x)
        bias = self.cut.student.bias
        if isinstance(bias, Tensor):
            target = target - bias.to(x).unsqueeze(1)
        self.gram += (x.mT @ x).double().cpu()
        self.cross += (target.view(len(x), -1, x.shape[1]) @ x).double().cpu()
        self.rows += x.shape[1]
