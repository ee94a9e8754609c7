"""What a rule sees (`Site`) and where rules are registered.

A rule is a function from a call site to the states of the call's outputs. It may join atoms, pin them, say which role
a parameter plays, and book multiply-accumulates. It never sees tensor values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from torch import Tensor, nn

from secateur.core.groups import Role
from secateur.core.registry import load_outside
from secateur.graph.labels import Atoms, LiveSite, State
from secateur.graph.record import Call, Ref

#: Beginning of the reason of dims that meet an input of the model, a constant, or whatever else has no units.
MEETS = "meets a dim that cannot be cut"


@dataclass(frozen=True, slots=True, eq=False)
class Booking:
    """Multiply-accumulates of one call: `constant * prod(kept length of each label vector)`."""

    name: str
    module: str
    weight: str
    constant: int
    loops: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Position:
    """An argument that names an entry of a dim of `self` by its number, which must follow a cut.

    Attributes:
        argument: its name.
        dim: which dim.
        before: labels of the entries before the named one.
    """

    argument: str
    dim: int
    before: Tensor

    def read(self, call: Call) -> int:
        """The number that a call names, counted from the beginning."""
        number, size = int(call.bound.get(self.argument) or 0), int(call.bound["self"].shape[self.dim])
        return min(number + size if number < 0 else number, size)


@dataclass(slots=True)
class Site:
    """One operator call during propagation.

    Attributes:
        call: what was recorded.
        atoms: joins, pins and roles are written here.
        states: state of every tensor seen so far, by key.
        modules: the model's modules by name, for rules that need to know whose forward is running.
        bookings: multiply-accumulates are written here.
        positions: entries that the call's arguments name by number.
        pieces: labels of the pieces into which the call takes a tensor apart at numbers.
    """

    call: Call
    atoms: Atoms
    states: dict[int, State]
    modules: Mapping[str, nn.Module]
    bookings: list[Booking] = field(default_factory=list)
    positions: list[Position] = field(default_factory=list)
    pieces: list[Tensor] = field(default_factory=list)

    @property
    def where(self) -> str:
        """The operator and its place, in words."""
        return f"operator {self.call.name.replace('::', '.')} at {self.call.module or 'the top module'}"

    @property
    def module(self) -> nn.Module:
        """The module whose forward makes the call."""
        return self.modules[self.call.module]

    def state(self, name: str) -> State | None:
        """State of a tensor argument, or None where none was passed."""
        ref = self.call.bound.get(name)
        return self.state_of(ref) if isinstance(ref, Ref) else None

    def state_of(self, ref: Ref) -> State:
        """State of a recorded tensor; one that appeared from nowhere may not be cut."""
        return self.states.get(ref.key) or State.free(len(ref.shape))

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor argument."""
        ref = self.call.bound[name]
        assert isinstance(ref, Ref)
        return ref.shape

    def literal(self, name: str, default: Any = None) -> Any:
        """A non-tensor argument, or `default` where it was left out."""
        value = self.call.bound.get(name, default)
        return default if value is None else value

    @property
    def output_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of all tensors that came out."""
        return [x.shape for x in self.call.outputs if isinstance(x, Ref)]

    def join(self, a: Tensor | None, b: Tensor | None) -> Tensor | None:
        """Entries of `a` and `b` live and die together."""
        return self.atoms.join(a, b, f"{MEETS}: {self.where}")

    def pin(self, a: Tensor | None, why: str) -> None:
        """Entries labelled `a` may not be cut, and `why`."""
        self.atoms.pin(a, f"{why}: {self.where}" if why else "")

    def at_least(self, a: Tensor | None, count: int, why: str) -> None:
        """The dim labelled `a` may be cut, but must keep `count` entries, and `why`."""
        if a is not None:
            self.atoms.minima.append((a, count, f"{why}: {self.where}"))

    def in_steps(self, a: Tensor | None, step: int, why: str) -> None:
        """The dim labelled `a` may be cut to lengths that divide by `step` only, and `why`."""
        if a is not None and step > 1:
            self.atoms.steps.append((a, step, f"{why}: {self.where}"))

    def pin_all(self, state: State, why: str) -> None:
        """Nothing of the tensor may be cut."""
        for labels in state.labels:
            self.pin(labels, why)

    def play(self, state: State | None, dim: int, role: Role) -> None:
        """If the tensor is made of parameters, its `dim` plays `role`."""
        if state is not None and state.static:
            self.atoms.play(state.labels[dim], role)

    def live(self, labels: Tensor | None, dim: int, size: int, functions: tuple[str, ...], why: str) -> bool:
        """The call computes over `dim` of its first argument: dead entries must be left out of it.

        Args:
            labels: along the dim.
            dim: which dim.
            size: its length.
            functions: the functions of torch that make this operator, and nothing before it.
            why: said of units that are pinned, where the masked network could not leave dead ones out.

        Returns:
            Whether the dim may be cut.
        """
        made_by = self.call.function
        if made_by is None or made_by[0] not in functions:
            self.pin(labels, why)
            return False
        key = (self.call.module, made_by, dim, size)
        earlier = self.atoms.live.get(key)
        if earlier is not None:  # a module called twice does the same to both
            labels = self.join(labels, earlier.labels)
        self.atoms.live[key] = LiveSite(labels, self.call.module, made_by, dim, size)
        return labels is not None

    def follow(self, argument: str, dim: int, before: Tensor) -> None:
        """An argument names the entry of `dim` that comes after those labelled `before`, and must go on to do so."""
        self.positions.append(Position(argument, dim, before))

    def contract(self, a: State, a_dim: int, b: State, b_dim: int) -> None:
        """Sum over `a_dim` of one and `b_dim` of the other operand: they share their units, and dead ones must be zero.

        A parameter whose dim is summed over is a consumer: masking it makes the unit dead, whatever the other side
        holds. Where both sides are activations, one of them has to be silent.
        """
        self.atoms.join(
            a.labels[a_dim], b.labels[b_dim], f"reads what cannot be cut (an input of the model, say): {self.where}"
        )
        self.play(a, a_dim, Role.CONSUMES)
        self.play(b, b_dim, Role.CONSUMES)
        if not (a.silent[a_dim] or b.silent[b_dim]):
            for labels in (a.labels[a_dim], b.labels[b_dim]):
                self.pin(labels, "a dead unit would still count in a sum over activations")

    def book(self, constant: int, *loops: Tensor | None, weight: State) -> None:
        """Count multiply-accumulates: `constant` times the kept length of each loop; None stands for a fixed one."""
        self.bookings.append(
            Booking(
                self.call.name.removeprefix("aten::"),
                self.call.module,
                weight.source,
                constant,
                tuple(v for v in loops if v is not None),
            )
        )


Rule = Callable[[Site], Sequence[State] | State]

#: Rules by operator, `aten::mm`. Another package adds its own with the same decorator, and is found if it names the
#: module under the entry-point group `secateur.rule`.
RULES: dict[str, Rule] = {}


def rule(*operators: str) -> Callable[[Rule], Rule]:
    """Register a rule for one or more operators, named as in their schema: `aten::mm`, `torchvision::nms`."""

    def register(function: Rule) -> Rule:
        for name in operators:
            if name in RULES:
                raise ValueError(f"operator {name!r} has a rule already: {RULES[name]!r}.")
            RULES[name] = function
        return function

    return register


@cache
def load_rules() -> None:
    """Import the rules of other packages that are installed; the first call does it."""
    load_outside("rule")


def length(shape: Sequence[int], dim: int, labels: Tensor | None) -> tuple[int, Tensor | None]:
    """A loop over a dim, as the pair (constant, labels) that `Site.book` wants."""
    return (shape[dim], None) if labels is None else (1, labels)
