"""Labels: who owns the entries of a tensor's dims.

Every entry of every dim of every parameter and buffer is an *atom*, a number from 1 on. A label vector along a dim of
any tensor says which atom each entry lives and dies with; 0 says that the entry may not be cut. Operators join atoms
that must be cut together, or pin them. Components of joined atoms are the units that may be removed.

A tensor that the forward pass makes out of nothing and fills with one number (`torch.zeros(batch, width)`) gets atoms
too, *phantoms*: nothing is stored under them, but its length has to follow whatever it meets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from secateur.core.groups import Kind, Role

#: Who wins where one dim plays several parts (a tied embedding both produces and consumes).
_PRECEDENCE = (Role.TRACKS, Role.DIRECTS, Role.SHIFTS, Role.SCALES, Role.PRODUCES, Role.CONSUMES)
#: Marks that tell more come later.
_TELLING = (Kind.CHANNELS, Kind.NEURONS, Kind.STREAM, Kind.HEAD_DIM, Kind.HEADS)


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What is known of one tensor during propagation.

    Attributes:
        labels: per dim a long vector of atoms, or None where nothing may be cut.
        silent: per dim, whether the entries of a dead unit are exactly zero once its parameters are masked to zero.
        static: whether the tensor depends on parameters and constants only, not on the inputs.
        source: the parameter whose entries it holds, if it is one, moved about or not.
    """

    labels: tuple[Tensor | None, ...]
    silent: tuple[bool, ...]
    static: bool = False
    source: str = ""

    @classmethod
    def free(cls, dims: int) -> State:
        """A tensor of which nothing may be cut."""
        return cls((None,) * dims, (False,) * dims)


@dataclass(frozen=True, slots=True, eq=False)
class LiveSite:
    """A dim over which a call computes, if the masked network can leave dead entries out of it.

    Attributes:
        labels: along the dim; None where nothing may be cut.
        module: whose forward makes the call.
        function: the function of torch that it calls, and how many calls of that function came before.
        dim: the dim of the function's first argument.
        size: its length.
    """

    labels: Tensor | None
    module: str
    function: tuple[str, int]
    dim: int
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class Drift:
    """A number that follows the length of a dim, to a power; rescaled weights make up for it."""

    labels: Tensor
    power: float


@dataclass(frozen=True, slots=True, eq=False)
class Rescaled:
    """Entries of a parameter along a dim that are scaled by a power of how the length of another dim changes."""

    tensor: str
    dim: int
    entries: Tensor
    labels: Tensor
    power: float


@dataclass(slots=True)
class Atoms:
    """The growing knowledge about atoms: which are joined, which are pinned and why, which role each plays.

    Attributes:
        count: how many atoms there are, the zero included.
        stored: atoms from this number on are phantoms, the others belong to parameters and buffers.
        edges: joined atoms.
        pins: atoms that may not be cut, and why.
        roles: atoms of parameters, and the part they play.
        live: dims over which a function computes, by module, function, number, dim and size.
        sizes: atoms of a dim whose length a module keeps: the module and the attribute.
        minima: label vectors of dims, the least length that each must keep, and why.
        steps: label vectors of dims, the number that the length of each must divide by, and why.
        bare: parameters that an operator needs unmasked along some dim: the operator, and the labels along it.
        kinds: atoms of which it is known what their units are.
        heads: whether whole heads are cut where a dim is viewed as heads x positions, not positions in all heads.
    """

    count: int = 1
    stored: int = 2**62
    edges: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    pins: list[tuple[Tensor, str]] = field(default_factory=list)
    roles: list[tuple[Tensor, Role]] = field(default_factory=list)
    live: dict[tuple[str, tuple[str, int], int, int], LiveSite] = field(default_factory=dict)
    sizes: list[tuple[Tensor, str, str]] = field(default_factory=list)
    minima: list[tuple[Tensor, int, str]] = field(default_factory=list)
    steps: list[tuple[Tensor, int, str]] = field(default_factory=list)
    bare: dict[str, tuple[str, Tensor]] = field(default_factory=dict)
    kinds: list[tuple[Tensor, Kind]] = field(default_factory=list)
    heads: bool = False

    def new(self, size: int) -> Tensor:
        """Fresh atoms for one dim."""
        self.count += size
        return torch.arange(self.count - size, self.count)

    def join(self, a: Tensor | None, b: Tensor | None, why: str) -> Tensor | None:
        """Say that entries of `a` and `b` live and die together; where one may not be cut, neither may the other."""
        if a is None or b is None:
            self.pin(a if b is None else b, why)
            return None
        both = (a > 0) & (b > 0)
        self.pin(a[(a > 0) & ~both], why)
        self.pin(b[(b > 0) & ~both], why)
        if a is not b:
            self.edges.append((a[both], b[both]))
        # A phantom plays no role, so the label of a stored entry is the one to carry on with.
        return torch.where(both, torch.where(a < self.stored, a, b), torch.zeros_like(a))

    def pin(self, a: Tensor | None, why: str) -> None:
        """Say that entries labelled `a` may not be cut. An empty reason marks dims that nobody would cut anyway."""
        if a is not None and a.numel():
            self.pins.append((a.reshape(-1), why))

    def play(self, a: Tensor | None, role: Role) -> None:
        """Say what part a parameter's dim plays."""
        if a is not None:
            self.roles.append((a, role))

    def mark(self, a: Tensor | None, kind: Kind) -> None:
        """Say what the units of `a` are."""
        if a is not None:
            self.kinds.append((a, kind))

    def kind_of(self, root: Tensor) -> dict[int, Kind]:
        """For components of which it is known, what their units are; the most telling mark wins."""
        found: dict[int, Kind] = {}
        for atoms, kind in sorted(self.kinds, key=lambda mark: _TELLING.index(mark[1])):
            found |= dict.fromkeys(root[atoms[atoms > 0]].unique().tolist(), kind)
        return found

    def components(self) -> Tensor:
        """For every atom the smallest atom it is joined with; `(count,)`, by hooking and pointer jumping."""
        root = torch.arange(self.count)
        if not self.edges:
            return root
        a, b = (torch.cat(side) for side in zip(*self.edges, strict=True))
        while True:
            low = torch.minimum(root[a], root[b])
            hooked = root.clone()
            for end in (a, b):
                hooked.scatter_reduce_(0, root[end], low, "amin")
                hooked.scatter_reduce_(0, end, low, "amin")
            hooked = hooked[hooked]
            if torch.equal(hooked, root):
                return root
            root = hooked

    def role_of(self) -> Tensor:
        """For every atom the index into `_PRECEDENCE` of its strongest role; -1 where it plays none."""
        part = torch.full((self.count,), -1)
        if self.roles:
            ranks = torch.tensor([_PRECEDENCE.index(role) for _, role in self.roles])
            lengths = torch.tensor([atoms.numel() for atoms, _ in self.roles])
            every = torch.cat([atoms.flatten() for atoms, _ in self.roles])
            part.scatter_reduce_(0, every, ranks.repeat_interleave(lengths), "amax")
            part[0] = -1  # what may not be cut plays none
        return part


def strongest(part: int) -> Role:
    """The role of a dim, given the strongest part that its atoms play.

    A dim that plays none is met in arithmetic among parameters and buffers only: in a sum of two biases, the second.
    """
    return _PRECEDENCE[part] if part >= 0 else Role.SHIFTS


def separate(atoms: Atoms, moved: Tensor, where: str, carrier: int | None = None) -> tuple[int, Tensor] | None:
    """Read one label vector off a label tensor that an operator has moved around.

    Args:
        atoms: where joins are written to.
        moved: labels of one input dim, after the operator, in the shape of the output.
        where: the operator and its place, for reasons.
        carrier: the output dim that is to carry them, if it is known.

    Returns:
        The output dim that now carries the labels, and the vector along it; None where nothing varies. Where the
        labels vary along several dims (a channel dim viewed as heads x positions), the dim that leaves the most units
        carries them, the last one among equals, and they are joined along the others. Where whole heads are wanted, it
        is the last but one.
    """
    if not moved.numel():
        return None
    dims = []
    for dim in range(moved.ndim):
        first = moved.narrow(dim, 0, 1)
        if moved.shape[dim] > 1 and not torch.equal(first.expand_as(moved), moved):
            dims.append(dim)
        else:
            moved = first
    if not dims:
        atoms.pin(moved[moved > 0], f"a single unit was picked out by its position: {where}")
        return None
    if len(dims) == 1:
        return dims[0], moved.reshape(-1)
    dim = dims[-2] if atoms.heads else max(dims, key=lambda d: (_classes(moved, d), d))
    dim = carrier if carrier is not None and carrier in dims else dim
    rows = moved.movedim(dim, -1).reshape(-1, moved.shape[dim])
    fixed = (rows == 0).any(0)
    atoms.pin(rows[:, fixed][rows[:, fixed] > 0], f"shares a position with an entry that may not be cut: {where}")
    atoms.edges.append((rows[1:, ~fixed].reshape(-1), rows[:1, ~fixed].expand_as(rows[1:, ~fixed]).reshape(-1)))
    return dim, torch.where(fixed, torch.zeros_like(rows[0]), rows[0])


def _classes(moved: Tensor, dim: int) -> int:
    """How many independent units remain if `dim` carries the labels and all others are joined."""
    rows = moved.movedim(dim, -1).reshape(-1, moved.shape[dim])
    own, rows = rows.unique(return_inverse=True)  # few of all the atoms of a network
    if len(own) == rows.numel():  # no entry is met twice, so no column is joined with another
        return int(rows.shape[1])
    trial = Atoms(count=len(own))
    trial.edges.append((rows[1:].reshape(-1), rows[:1].expand_as(rows[1:]).reshape(-1)))
    return int(trial.components()[rows[0]].unique().numel())


def first_labelled(vectors: Sequence[Tensor | None]) -> Tensor | None:
    """The first vector that is not None."""
    return next((v for v in vectors if v is not None), None)
