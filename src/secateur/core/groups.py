"""The channel graph as data: which entries of which tensors must be kept or cut together, and what they cost.

Everything here speaks of tensors by qualified name, never by module object, so a graph made on one copy of a model
holds for every model of the same structure, in another process, or from a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor, nn

from secateur.core.attached import is_attached


class Role(StrEnum):
    """What a dim of a tensor does with the units of a group."""

    PRODUCES = "produces"  # the dim along which a weight makes units: filters of a convolution
    SCALES = "scales"  # multiplies each unit: gamma of a batch norm
    SHIFTS = "shifts"  # is added to each unit: a bias, beta of a batch norm
    CONSUMES = "consumes"  # the dim over which a weight sums units: input channels of the next layer
    TRACKS = "tracks"  # a buffer that follows the units: running statistics
    DIRECTS = "directs"  # a parameter of which only the direction counts, its length is divided out: cut, never masked


class Kind(StrEnum):
    """What the units of a group are."""

    CHANNELS = "channels"  # filters of convolutions
    NEURONS = "neurons"  # outputs of linear layers
    STREAM = "stream"  # what residual blocks add to: the embedding width of a transformer
    HEAD_DIM = "head_dim"  # positions within attention heads, the same in all heads
    HEADS = "heads"  # whole attention heads


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """Where the units of a group live in one tensor.

    Attributes:
        tensor: qualified name of a parameter or buffer.
        dim: the dim of that tensor.
        role: what the tensor does with the units.
        index: long `(units, k)`, the entries of `dim` owned by each unit; every unit owns the same number k.
    """

    tensor: str
    dim: int
    role: Role
    index: Tensor

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Slot)
            and (self.tensor, self.dim, self.role) == (other.tensor, other.dim, other.role)
            and torch.equal(self.index, other.index)
        )

    def __hash__(self) -> int:
        return hash((self.tensor, self.dim, self.role, self.index.shape))


@dataclass(frozen=True, slots=True)
class Axis:
    """The length of one dim as an exact function of group widths: `fixed + sum(k * width(group))`."""

    fixed: int
    terms: tuple[tuple[str, int], ...] = ()

    def size(self, widths: Mapping[str, int]) -> int:
        """Length at the given widths; a group that `widths` does not name counts as nothing, so name them all."""
        varying = 0
        for name, k in self.terms:  # asked for all the time; a generator would take twice as long
            varying += k * widths[name]
        return self.fixed + varying

    def times(self, factor: int) -> Axis:
        """The axis `factor` times as long."""
        return Axis(self.fixed * factor, tuple((name, k * factor) for name, k in self.terms))

    def over(self, divisor: int) -> Axis:
        """The axis `divisor` times as short; every part must divide."""
        return Axis(self.fixed // divisor, tuple((name, k // divisor) for name, k in self.terms))


@dataclass(frozen=True, slots=True)
class Group:
    """Units that must be cut together.

    Attributes:
        name: name of its first producer; stable from run to run.
        units: how many there are.
        slots: every place where they live.
        multiple: a kept width must divide by this, unless all units are kept.
        minimum: the smallest width that may be kept.
        exact: False where a normalisation reduces over the units, so that masking must swap in live statistics.
        pinned: why the group may not be cut; empty if it may.
        kind: what the units are.
    """

    name: str
    units: int
    slots: tuple[Slot, ...]
    multiple: int = 1
    minimum: int = 1
    exact: bool = True
    pinned: str = ""
    kind: Kind = Kind.CHANNELS

    def slots_with(self, *roles: Role) -> tuple[Slot, ...]:
        """The slots that play one of `roles`."""
        return tuple(s for s in self.slots if s.role in roles)

    def width_near(self, count: int) -> int:
        """The width nearest to `count` from below that may be kept, or the smallest one."""
        if count >= self.units:
            return self.units
        steps = max(count // self.multiple, -(-self.minimum // self.multiple))
        return min(steps * self.multiple, self.units)


@dataclass(frozen=True, slots=True)
class Op:
    """One operator that multiplies and adds; `macs = prod(loop sizes)`."""

    name: str
    module: str
    weight: str
    loops: tuple[Axis, ...]

    def macs(self, widths: Mapping[str, int]) -> int:
        """Multiply-accumulates of one forward pass on the example inputs."""
        return prod(a.size(widths) for a in self.loops)


@dataclass(frozen=True, slots=True)
class TensorAxes:
    """A parameter or buffer, with each dim as a function of group widths.

    Attributes:
        axes: one per dim.
        buffer: True for a buffer, False for a parameter.
        aliases: other names under which the same storage is registered (tied weights).
    """

    axes: tuple[Axis, ...]
    buffer: bool
    aliases: tuple[str, ...] = ()

    def numel(self, widths: Mapping[str, int]) -> int:
        """Number of elements at the given widths."""
        return prod(a.size(widths) for a in self.axes)


@dataclass(frozen=True, slots=True)
class Attribute:
    """An integer that a module keeps and that must follow a cut: `out_channels`, `num_features`, `head_dim` and so on.

    Attributes:
        module: qualified module name.
        name: attribute name.
        axis: its value as a function of group widths.
        item: position inside a tuple attribute (`normalized_shape`), or None for a plain integer.
    """

    module: str
    name: str
    axis: Axis
    item: int | None = None


#: Functions of torch that ask how many entries a dim has: a mean divides by it, a softmax gives each a share. Where
#: such a dim is cut, the masked network must leave dead entries out.
LIVE_FUNCTIONS = frozenset(
    {
        "mean", "sum", "var", "std", "var_mean", "std_mean", "amax", "amin", "max", "min", "softmax", "log_softmax",
        "layer_norm", "group_norm", "batch_norm", "rms_norm", "norm", "linalg_vector_norm", "normalize",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class LiveCall:
    """One call of a function of torch, made by a module's forward, that computes over a dim that may be cut.

    Attributes:
        module: qualified name of the module whose forward makes the call; empty for the model itself.
        function: its name, one of `LIVE_FUNCTIONS`.
        number: how many calls of that function come before it while this forward runs.
        dim: the dim of the function's first argument.
        size: the length of that dim before any cut.
        members: groups whose units lie along the dim, each with the unit of every entry, long `(size,)`, -1 for none.
    """

    module: str
    function: str
    number: int
    dim: int
    size: int
    members: tuple[tuple[str, Tensor], ...]

    def live(self, kept: Mapping[str, Tensor]) -> Tensor | None:
        """Boolean `(size,)`, True = alive under `kept`; None where nothing along the dim dies."""
        vector = torch.ones(self.size, dtype=torch.bool)
        for group, unit in self.members:
            if group in kept:
                mine = unit >= 0
                vector[mine] = kept[group][unit[mine]]
        return None if bool(vector.all()) else vector

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, LiveCall)
            and self.key == other.key
            and (self.dim, self.size, len(self.members)) == (other.dim, other.size, len(other.members))
            and all(a == b and torch.equal(i, j) for (a, i), (b, j) in zip(self.members, other.members, strict=True))
        )

    def __hash__(self) -> int:
        return hash((self.key, self.dim, self.size))

    @property
    def key(self) -> tuple[str, str, int]:
        """Which call it is."""
        return self.module, self.function, self.number


@dataclass(frozen=True, slots=True, eq=False)
class Rescaling:
    """Entries of a parameter that a cut multiplies with a power of a width, so that a scalar in forward stays right.

    Attention divides by the root of the head's width and reads that off a shape: after a cut the number drifts, and the
    query's weights take up the difference.

    Attributes:
        tensor: qualified name of the parameter.
        dim: the dim along which `entries` counts.
        entries: long, the entries that are rescaled.
        axis: the width that the scalar is computed from.
        power: the factor is `(width after / width before) ** power`.
    """

    tensor: str
    dim: int
    entries: Tensor
    axis: Axis
    power: float

    def factor(self, full: Mapping[str, int], widths: Mapping[str, int]) -> float:
        """What the entries are multiplied with when widths go from `full` to `widths`."""
        return float((self.axis.size(widths) / self.axis.size(full)) ** self.power)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Rescaling)
            and (self.tensor, self.dim, self.axis, self.power) == (other.tensor, other.dim, other.axis, other.power)
            and torch.equal(self.entries, other.entries)
        )

    def __hash__(self) -> int:
        return hash((self.tensor, self.dim, self.axis, self.power))


@dataclass(frozen=True, slots=True)
class ChannelGraph:
    """What the structure of a model allows.

    Attributes:
        groups: every group of units by name, in order of execution, cuttable and pinned.
        tensors: every parameter and buffer by name.
        ops: the operators that cost multiply-accumulates.
        attributes: integers on modules that follow a cut.
        live: calls that compute over cuttable units; masking makes them leave dead units out.
        rescalings: parameters that a cut rescales, so that scalars computed from widths stay what they were.
        fingerprint: hash of tensor names and shapes; checked before any plan is applied.
        unknown: operators without a rule and how often each was met.
        inputs: shapes and ranges of the example inputs, enough to make others like them (`Example.from_spec`).
        blocks: modules that may be taken out as a whole, in order of execution: residual blocks, which give their input
            back once all of their parameters are zero. None lies inside another.
    """

    groups: Mapping[str, Group]
    tensors: Mapping[str, TensorAxes]
    ops: tuple[Op, ...]
    attributes: tuple[Attribute, ...]
    live: tuple[LiveCall, ...]
    rescalings: tuple[Rescaling, ...]
    fingerprint: str
    unknown: Mapping[str, int]
    inputs: Mapping[str, Any] = field(hash=False)
    blocks: tuple[str, ...] = ()

    @property
    def cuttable(self) -> dict[str, Group]:
        """The groups that may be cut."""
        return {name: g for name, g in self.groups.items() if not g.pinned}

    @property
    def full(self) -> dict[str, int]:
        """The width of every group before any cut."""
        return {name: g.units for name, g in self.groups.items()}

    def draw(self, form: Literal["text", "svg"] = "text", *, every: bool = False) -> str:
        """A picture of what moves together, to be read downwards in order of execution.

        A band is a group: wherever it runs, a unit that is cut is cut. A weight is a box that takes the units of the
        bands above it and gives those of the band below it, so a band that passes by is a residual stream, and one into
        which another weight flows is a sum. What else is cut along (scales, biases, statistics) stands beside the band.
        Pinned groups are grey, with the reason.

        Args:
            form: "text" for a terminal, or "svg" for a page: `Path("groups.svg").write_text(graph.draw("svg"))`.
            every: draw every row of a long picture; by default equal neighbours are drawn once and counted.

        Returns:
            The drawing, as text.

        Raises:
            UnknownNameError: there is no such form.
        """
        from secateur.core.picture import draw  # noqa: PLC0415  the picture is drawn of graphs, so it comes after them

        return draw(self, form, every=every)

    def widths(self, kept: Mapping[str, Tensor]) -> dict[str, int]:
        """The width of every group under `kept` (group name to boolean units); a group not named keeps all."""
        return self.full | {name: int(keep.sum()) for name, keep in kept.items()}

    def dim_keeps(self, kept: Mapping[str, Tensor]) -> dict[str, dict[int, Tensor]]:
        """For every tensor touched by a cut: dim to boolean vector over the entries of that dim, True = stays."""
        keeps: dict[str, dict[int, Tensor]] = {}
        full = self.full
        for name, keep in kept.items():
            gone = (~keep).nonzero().flatten()
            for slot in self.groups[name].slots if len(gone) else ():
                by_dim = keeps.setdefault(slot.tensor, {})
                if slot.dim not in by_dim:
                    size = self.tensors[slot.tensor].axes[slot.dim].size(full)
                    by_dim[slot.dim] = torch.ones(size, dtype=torch.bool)
                by_dim[slot.dim].index_fill_(0, slot.index.index_select(0, gone).view(-1), False)
        return keeps

    def dim_sizes(self, kept: Mapping[str, Tensor]) -> dict[str, dict[int, int]]:
        """For every tensor touched by a cut: dim to how many of its entries stay, by the same slots as `dim_keeps`."""
        sizes: dict[str, dict[int, int]] = {}
        full = self.full
        for name, keep in kept.items():
            gone = len(keep) - int(keep.sum())
            for slot in self.groups[name].slots if gone else ():
                by_dim = sizes.setdefault(slot.tensor, {})
                size = by_dim.get(slot.dim)
                size = self.tensors[slot.tensor].axes[slot.dim].size(full) if size is None else size
                by_dim[slot.dim] = size - gone * slot.index.shape[1]
        return sizes

    def without(self, modules: Sequence[str]) -> ChannelGraph:
        """The graph of the network that is left once `modules` (some of `blocks`) have been taken out.

        The channels of what is left are grouped as before; tracing the smaller network may find more to cut.
        """
        if not modules:
            return self
        tensors = {n: t for n, t in self.tensors.items() if not is_in(n, modules)}
        left = {n: tuple(s for s in g.slots if s.tensor in tensors) for n, g in self.groups.items()}
        return replace(
            self,
            groups={n: replace(g, slots=left[n]) for n, g in self.groups.items() if left[n]},
            tensors=tensors,
            ops=tuple(op for op in self.ops if not is_in(op.module, modules)),
            attributes=tuple(a for a in self.attributes if not is_in(a.module, modules)),
            live=tuple(call for call in self.live if not is_in(call.module, modules)),
            rescalings=tuple(one for one in self.rescalings if one.tensor in tensors),
            fingerprint=fingerprint_of((n, tuple(a.size(self.full) for a in t.axes)) for n, t in tensors.items()),
            blocks=tuple(b for b in self.blocks if b not in modules),
        )


def is_in(name: str, modules: Iterable[str]) -> bool:
    """Whether `name` is one of `modules`, or a module or tensor inside one."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def fingerprint(model: nn.Module) -> str:
    """Hash of the names and shapes of all parameters and buffers; equal for models of the same structure.

    What training has attached for a while is no part of the structure.
    """
    tensors = [*model.named_parameters(), *model.named_buffers()]
    named = {name: tuple(t.shape) for name, t in tensors if not is_attached(name)}
    return fingerprint_of(named.items())


def fingerprint_of(shapes: Iterable[tuple[str, tuple[int, ...]]]) -> str:
    """Hash of `(name, shape)` pairs, independent of their order."""
    text = "\n".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in sorted(shapes))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
