"""Least squares with some weights held at zero: the algebra that the optimal-brain-surgeon family shares.

A row w of a layer's weights costs `(w' - w) H (w' - w)^T` when it becomes w', H the second moments of what the row
sees. All functions here work in float64 and take rows of several groups at once: weights are `(groups, rows, entries)`,
matrices `(groups, entries, entries)`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from secateur.core.errors import IncompatibleError

#: Numbers in one piece of work: rows are taken a few at a time, so that their matrices stay in the cache, 16 MiB.
_PIECE = 2**21
#: Columns of a sweep that are updated one by one.
_FEW = 16
#: `(first column, width) -> ` given the columns' scores `(groups, rows, width)`, which entries stay.
Choose = Callable[[int, Tensor], Tensor]


def check_damping(damping: float) -> None:
    """Refuse what is no damping.

    Raises:
        IncompatibleError: it is negative.
    """
    if not damping >= 0:
        raise IncompatibleError(f"damping must be 0 or more, got damping={damping!r}. 0.01 suits most layers.")


def damped(gram: Tensor, damping: float) -> Tensor:
    """`gram` with `damping` times the mean of its diagonal added to the diagonal, entries that are always 0 left out.

    Such a dead entry gets a 1 on the diagonal, and so is independent of all others.
    """
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    dead = diagonal == 0
    mean = diagonal.sum(-1, keepdim=True) / (~dead).sum(-1, keepdim=True).clamp_min(1)
    return gram + torch.diag_embed(torch.where(dead, torch.ones_like(diagonal), damping * mean))


def alive(gram: Tensor) -> Tensor:
    """1 for every entry that is ever seen, 0 for one that is always 0; `(groups, 1, entries)`."""
    return (gram.diagonal(dim1=-2, dim2=-1) != 0).unsqueeze(-2).to(gram)


def factor(matrix: Tensor, what: str) -> Tensor:
    """The lower Cholesky factor.

    Raises:
        IncompatibleError: `matrix`, which the message calls `what`, is not positive definite.
    """
    lower: Tensor
    lower, info = torch.linalg.cholesky_ex(matrix)
    if bool((info != 0).any()):
        raise IncompatibleError(
            f"{what} is singular: there are fewer examples than entries, or some of them say the same. "
            "Use more data or a larger damping; 0.01 suits most layers."
        )
    return lower


def inverse(matrix: Tensor, what: str) -> Tensor:
    """The inverse of a symmetric positive definite matrix.

    Raises:
        IncompatibleError: it is not positive definite.
    """
    found: Tensor = torch.cholesky_inverse(factor(matrix, what))
    return found


def inverse_factor(matrix: Tensor, what: str) -> Tensor:
    """The upper triangular U with `U^T U = matrix^-1`, without the detour over the inverse.

    Turned around, a lower factor of the turned matrix is an upper one R with `R R^T = matrix`, and U is `R^-1`.

    Raises:
        IncompatibleError: the matrix is not positive definite.
    """
    upper = factor(matrix.flip(-2, -1), what).flip(-2, -1)
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype)
    found: Tensor = torch.linalg.solve_triangular(upper, eye.expand_as(matrix), upper=True)
    return found


def halved(lower: Tensor, x: Tensor) -> Tensor:
    """`L^-1 x`, of which the squares sum up to `x^T (L L^T)^-1 x`."""
    found: Tensor = torch.linalg.solve_triangular(lower, x, upper=False)
    return found


def outer_inverse_diagonal(vectors: Tensor, columns: slice, damping: float) -> Tensor:
    """Some entries of the diagonal of the inverse of `damping * I + (1/N) sum of g g^T`.

    By the smaller of two factorisations (Woodbury): of as many entries as the vectors have, or as there are vectors.

    Args:
        vectors: the g, `(N, entries)`.
        columns: which entries of the diagonal.
        damping: above 0.
    """
    count, size = vectors.shape
    own = vectors[:, columns]
    if size <= count:
        matrix = vectors.T @ vectors / count
        found = inverse(matrix + damping * torch.eye(size, dtype=matrix.dtype), "the Fisher matrix").diagonal()[columns]
    else:
        matrix = vectors @ vectors.T + damping * count * torch.eye(count, dtype=vectors.dtype)
        half = halved(factor(matrix, "the Fisher matrix"), own)
        found = (1 - half.square().sum(0)) / damping
    # Never below the reciprocal of the matrix's own diagonal; where the difference above is all rounding, this is left.
    return torch.maximum(found, 1 / (damping + own.square().mean(0)))


def fitting_work(keep: Tensor) -> int:
    """About how many multiply-accumulates `fitted` takes: one factorisation for every set of kept entries."""
    return sum(int(k) ** 3 // 3 for rows in keep for k in torch.unique(rows, dim=0).sum(-1).tolist())


def fitted(matrix: Tensor, linear: Tensor, keep: Tensor, what: str) -> Tensor:
    """For every row the d that minimises `d H d^T - 2 d . linear`, zero where `keep` is False.

    Rows that keep the same entries share one factorisation.

    Raises:
        IncompatibleError: the matrix of a set of kept entries is singular.
    """
    found = torch.zeros_like(linear)
    for group, rows in enumerate(keep):
        sets, owner = torch.unique(rows, dim=0, return_inverse=True)
        for number, kept in enumerate(sets):
            stay, mine = kept.nonzero().flatten(), (owner == number).nonzero().flatten()
            if len(stay):
                lower = factor(matrix[group][stay][:, stay], what)
                answer = torch.cholesky_solve(linear[group][mine][:, stay].T, lower).T
                found[group, mine.unsqueeze(1), stay] = answer
    return found


def removal_losses(weight: Tensor, inverse: Tensor, *, run: int = 1, bucket: int = 0, most: int = 0) -> Tensor:
    """Take the least important entries out of each row, one after another, and tell at what loss each of them went.

    After every removal the entries that are left are fitted again. A loss never counts for less than the one before it
    in its row: so the entries with the k lowest numbers over all rows are those that one gets by taking, k times, the
    row whose next removal costs least.

    Args:
        weight: `(rows, entries)`.
        inverse: `(entries, entries)`, the inverse of H.
        run: so many neighbours go together, each of them at an equal share of the loss.
        bucket: of every so many neighbours only `most` go; those that stay get higher numbers than any that went.
        most: see `bucket`.

    Returns:
        The losses, `(rows, entries)`.
    """
    rows = max(1, _PIECE // weight.shape[1] ** 2)
    return torch.cat([_Removal(part, inverse, run).losses(bucket, most) for part in weight.split(rows)])


class _Removal:
    """Some rows from which runs of entries go, each row in an order of its own.

    The inverses shrink by outer products. Only their diagonals are kept up to date, beside the list of those products:
    a column of an inverse is needed once only, when its entry goes.
    """

    def __init__(self, weight: Tensor, inverse: Tensor, run: int) -> None:
        self.rows, self.entries = weight.shape
        self.run, self.runs = run, self.entries // run
        self.inverse = inverse
        self.weight = weight.clone()
        self.each = torch.arange(self.rows)
        places = torch.arange(self.entries).view(self.runs, run)
        corner = inverse[places.unsqueeze(2), places.unsqueeze(1)]
        self.corners = corner.expand(self.rows, -1, -1, -1).clone()  # (rows, runs, run, run)
        self.gone = torch.zeros(self.rows, self.runs, dtype=torch.bool)
        self.products = weight.new_zeros(self.rows, self.entries, self.entries)  # H_now^-1 = H^-1 - products^T products
        self.done = 0

    def losses(self, bucket: int, most: int) -> Tensor:
        """The loss at which each entry goes."""
        level, found = self.weight.new_zeros(self.rows), self.weight.new_zeros(self.rows, self.runs)
        for _ in range(self.runs // bucket * most if bucket else self.runs):
            blocked = self.gone | self._full(bucket, most) if bucket else self.gone
            best, which = self._costs().masked_fill(blocked, torch.inf).min(1)
            level = torch.maximum(best, torch.nextafter(level, torch.full_like(level, torch.inf)))
            found[self.each, which] = level
            self._remove(which)
        if bucket:
            above = torch.nextafter(level, torch.full_like(level, torch.inf)).unsqueeze(1) + self._costs()
            found = torch.where(self.gone, found, above)
        return found.repeat_interleave(self.run, 1) / self.run

    def _full(self, bucket: int, most: int) -> Tensor:
        """Entries of buckets that have lost all that they may."""
        return (self.gone.view(self.rows, -1, bucket).sum(2) >= most).repeat_interleave(bucket, 1)

    def _costs(self) -> Tensor:
        """w_P (H^-1)_PP^-1 w_P of every run, `(rows, runs)`."""
        if self.run == 1:
            return self.weight.square() / self.corners.view_as(self.weight)
        weight = self.weight.view(self.rows, self.runs, self.run, 1)
        return halved(torch.linalg.cholesky_ex(self.corners).L, weight).square().sum((2, 3))

    def _remove(self, which: Tensor) -> None:
        """Take out one run of each row, and fit the rest again."""
        places = which.unsqueeze(1) * self.run + torch.arange(self.run)  # (rows, run)
        before = self.products[:, : self.done]
        own = before.gather(2, places.unsqueeze(1).expand(-1, self.done, -1))
        columns = self.inverse[places] - own.mT @ before  # (rows, run, entries)
        lower = torch.linalg.cholesky_ex(columns.gather(2, places.unsqueeze(1).expand(-1, self.run, -1))).L
        step = halved(lower, columns)
        self.weight -= (halved(lower, self.weight.gather(1, places).unsqueeze(2)).mT @ step).squeeze(1)
        self.products[:, self.done : self.done + self.run] = step
        self.done += self.run
        self.gone[self.each, which] = True
        piece = step.unflatten(2, (self.runs, self.run)).permute(0, 2, 3, 1)
        self.corners -= piece @ piece.mT
        # What is gone costs nothing more, and must not be divided by: its corner is zero but for rounding.
        self.weight.view(self.rows, self.runs, self.run)[self.gone] = 0
        self.corners[self.gone] = torch.eye(self.run, dtype=self.weight.dtype)


def swept(
    weight: Tensor, upper: Tensor, choose: Choose, *, chunk: int, every: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Go through the columns from left to right; where an entry goes, columns to its right make up for it.

    Args:
        weight: `(groups, rows, entries)`.
        upper: of `inverse_factor`, `(groups, entries, entries)`.
        choose: which entries stay, asked whenever a choice is due.
        chunk: columns that are chosen from at a time.
        every: choose from so many columns at a time, of which a chunk holds several; 0 for a whole chunk.

    Returns:
        The new weights, which entries stayed, and what scores `choose` was given, each `(groups, rows, entries)`.
    """
    left = weight.mT.clone()  # (groups, entries, rows): columns of the weight lie together
    keep, scores = torch.ones_like(left, dtype=torch.bool), torch.zeros_like(left)
    errors = torch.zeros_like(left)
    entries, few = left.shape[1], every * max(_FEW // every, 1) if every else _FEW
    for start in range(0, entries, chunk):
        end = min(start + chunk, entries)
        for first in range(start, end, few):
            last = min(first + few, end)
            for column in range(first, last):
                if (column - start) % (every or chunk) == 0:
                    due = slice(column, min(column + (every or chunk), end))
                    pivots = upper[:, due, due].diagonal(dim1=1, dim2=2).unsqueeze(2)
                    scores[:, due] = (left[:, due] / pivots).square()
                    keep[:, due] = choose(column, scores[:, due].mT).mT
                error = left[:, column].masked_fill(keep[:, column], 0) / upper[:, column, column].unsqueeze(1)
                left[:, column:last].addcmul_(upper[:, column, column:last].unsqueeze(2), error.unsqueeze(1), value=-1)
                left[:, column].masked_fill_(~keep[:, column], 0)
                errors[:, column] = error
            # What stands further right in the chunk is told of a few columns at once, and what stands behind the chunk
            # of all of them: matrix products take a tenth of the time.
            left[:, last:end].baddbmm_(upper[:, first:last, last:end].mT, errors[:, first:last], alpha=-1)
        left[:, end:].baddbmm_(upper[:, start:end, end:].mT, errors[:, start:end], alpha=-1)
    return left.mT.contiguous(), keep.mT.contiguous(), scores.mT.contiguous()
