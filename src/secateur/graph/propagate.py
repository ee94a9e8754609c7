"""Walk through a recording, call by call, and let the rules join, pin and label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch._ops import OpOverload

from secateur.graph.attention import width_ties
from secateur.graph.homogeneous import MOVING
from secateur.graph.labels import Atoms, Drift, Rescaled, State
from secateur.graph.record import Call, Recording, Ref
from secateur.graph.rules.base import MEETS, RULES, Booking, Position, Rule, Site
from secateur.graph.rules.pointwise import pointwise


@dataclass(slots=True)
class Propagation:
    """What is known after the walk.

    Attributes:
        recording: what the walk went through.
        atoms: joins, pins and roles.
        owned: parameter or buffer name to its own atoms, one vector per dim (None for dims of one entry).
        bookings: multiply-accumulates.
        labels: per call, the label vectors of each tensor output, as they were when it came out.
        unknown: operators without a rule, counted.
        unmet: calls without a rule, with each label vector that they met.
        first_use: tensor name to the index of the first call that used it.
        read: per call, the label vectors of each tensor argument, as they were when it went in.
        positions: per call, entries that its arguments name by number.
        by_module: numbers of the calls that each module's own forward makes.
        drifts: per call, how the number that it computes with follows a width.
        rescaled: weights that make up for that.
        pieces: number of a call that takes a tensor apart at numbers to the label vectors of the pieces.
        sharing: memory to the keys of all tensors that lie in it.
        training: the walk through a pass in training mode, where that does something else; labels mean the same there.
    """

    recording: Recording
    atoms: Atoms
    owned: dict[str, tuple[Tensor | None, ...]]
    bookings: list[Booking] = field(default_factory=list)
    labels: list[list[tuple[Tensor | None, ...]]] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    unmet: list[tuple[str, list[Tensor]]] = field(default_factory=list)
    first_use: dict[str, int] = field(default_factory=dict)
    read: list[list[tuple[Tensor | None, ...]]] = field(default_factory=list)
    positions: dict[int, list[Position]] = field(default_factory=dict)
    by_module: dict[str, list[int]] = field(default_factory=dict)
    drifts: dict[int, Drift] = field(default_factory=dict)
    rescaled: list[Rescaled] = field(default_factory=list)
    pieces: dict[int, list[Tensor]] = field(default_factory=dict)
    sharing: dict[int, list[int]] = field(default_factory=dict)
    training: Propagation | None = None


def propagate(
    model: nn.Module, recording: Recording, training: Recording | None = None, *, heads: bool = False
) -> Propagation:
    """Label every tensor of the recording.

    Args:
        model: the network that was recorded.
        recording: a pass in eval mode.
        training: a pass in training mode, where branches may run that eval mode leaves out; it adds joins and pins.
        heads: whether whole attention heads are cut, and not positions in all of them.
    """
    atoms = Atoms(heads=heads)
    tensors = [*model.named_parameters(), *model.named_buffers()]
    owned = {n: tuple(atoms.new(s) if s > 1 else None for s in t.shape) for n, t in tensors}
    atoms.stored = atoms.count
    walk = Propagation(recording, atoms, owned)
    _run(walk, model)
    if training is not None:
        walk.training = side = Propagation(training, atoms, owned)
        _run(side, model, _without_effect(training, recording))
        walk.unmet += side.unmet
        late = len(recording.calls)
        walk.first_use = {n: late + at for n, at in side.first_use.items()} | walk.first_use
        _check_bare(atoms, training)
    _check_bare(atoms, recording)
    atoms.edges += width_ties(model, owned)
    _pin_unread(walk, [walk] if walk.training is None else [walk, walk.training])
    walk.unknown.update(_unknown_to_tensors(walk))
    return walk


def _pin_unread(walk: Propagation, walks: list[Propagation]) -> None:
    """Pin what the pass has not used: whole tensors, and entries that were sliced off before anyone read them.

    A table of positions is longer than the example's sequence; the rest of it waits for longer ones.
    """
    root = walk.atoms.components()
    read = torch.zeros(walk.atoms.count, dtype=torch.bool)
    for one in walks:
        for call, tensors in zip(one.recording.calls, one.read, strict=True):
            for labels in (v for by_dim in tensors for v in by_dim if v is not None and call.name not in MOVING):
                read[root[labels]] = True
    for labels in (v for own in walk.owned.values() for v in own if v is not None):
        walk.atoms.pin(labels[~read[root[labels]]], "is not used in the traced forward pass")


def unused(model: nn.Module, recording: Recording) -> bool:
    """Whether the pass left out a parameter, as eval mode leaves out the auxiliary heads of some networks."""
    met = {recording.names[ref.key] for call in recording.calls for ref in call.refs() if ref.key in recording.names}
    return any(name not in met for name, _ in model.named_parameters())


#: Operators of which a pass in training mode makes more: those that drop at random, or count passes.
_NOISE = frozenset({
    "aten::native_dropout", "aten::empty", "aten::new_empty", "aten::empty_like", "aten::bernoulli", "aten::rand",
    "aten::rand_like", "aten::floor", "aten::add", "aten::div", "aten::mul", "aten::detach", "aten::clone",
})  # fmt: skip


def goes_elsewhere(recording: Recording, training: Recording) -> bool:
    """Whether a pass in training mode makes other calls than one in eval mode, what drops at random aside."""
    one, other = (Counter(c.name for c in each.calls if c.name not in _NOISE) for each in (recording, training))
    return one != other or len(recording.outputs) != len(training.outputs)


def _run(walk: Propagation, model: nn.Module, idle: set[int] | None = None) -> None:
    """Let the rules see every call of the walk's recording.

    Args:
        walk: what is found out goes here.
        model: the network that was recorded.
        idle: calls of which it does not matter what becomes, if that is known.
    """
    recording = walk.recording
    # Masked networks have zeros for dead entries of parameters, and of buffers that hold numbers.
    zeroed = {name for name, t in [*model.named_parameters(), *model.named_buffers()] if t.is_floating_point()}
    states = {
        key: State(walk.owned[name], (name in zeroed,) * len(walk.owned[name]), static=True, source=name)
        for key, name in recording.names.items()
    }
    modules = dict(model.named_modules())
    for key, home in recording.storage.items():
        walk.sharing.setdefault(home, []).append(key)
    idle, plain = _idle(recording, modules) if idle is None else idle, dict(recording.plain)
    for number, call in enumerate(recording.calls):
        walk.by_module.setdefault(call.module, []).append(number)
        for ref in call.refs():
            if ref.key in recording.names:
                walk.first_use.setdefault(recording.names[ref.key], number)
        pins = len(walk.atoms.pins)
        _step(walk, call, states, modules)
        if number in idle:
            del walk.atoms.pins[pins:]
        _blame(walk, call, plain, pins)
    for ref in recording.outputs:
        for labels in states.get(ref.key, State.free(0)).labels:
            walk.atoms.pin(labels, "is an output of the model")


def _blame(walk: Propagation, call: Call, plain: dict[int, str], pins: int) -> None:
    """Name the tensor that a module keeps without registering it, where a call was pinned for meeting it."""
    kept = next((plain[ref.key] for ref in call.refs() if ref.key in plain), None)
    if kept is None:
        return
    for n, (labels, why) in enumerate(walk.atoms.pins[pins:], pins):
        hint = why.replace(MEETS, f"meets {kept}, a tensor that is no buffer (register_buffer lets it be cut along)")
        walk.atoms.pins[n] = labels, hint
    if all(ref.key in plain for ref in call.refs()):  # it is moved or copied
        plain.update((x.key, kept) for x in call.outputs if isinstance(x, Ref))


def _idle(recording: Recording, modules: Mapping[str, nn.Module]) -> set[int]:
    """Calls of PyTorch's attention whose results nobody reads: weights averaged over heads, mostly thrown away."""
    unread = _unread(recording, set(recording.names.values()))
    return {number for number in unread if isinstance(modules[recording.calls[number].module], nn.MultiheadAttention)}


def _without_effect(recording: Recording, elsewhere: Recording) -> set[int]:
    """Calls that matter to no output, here or `elsewhere`: statistics that are kept on the way, in training mode."""
    kept = {elsewhere.names[ref.key] for call in elsewhere.calls for ref in call.refs() if ref.key in elsewhere.names}
    while True:
        unread = _unread(recording, kept)
        live = [ref.key for n, call in enumerate(recording.calls) if n not in unread for ref in call.refs()]
        more = {recording.names[key] for key in live if key in recording.names} - kept
        if not more:
            return unread
        kept |= more


def _unread(recording: Recording, kept: set[str]) -> set[int]:
    """Calls whose results lead to no output of the pass, and are not written to a parameter or buffer in `kept`."""
    wanted, unread = {ref.key for ref in recording.outputs}, set()
    for number in range(len(recording.calls) - 1, -1, -1):
        call = recording.calls[number]
        keys = {x.key for x in call.outputs if isinstance(x, Ref)}
        written = {recording.names.get(key, "") for key in keys} if call.mutates else set()
        tells = any(not isinstance(x, Ref) for x in call.outputs)  # a number, to the forward itself
        if tells or keys & wanted or written & (kept | {""}):
            wanted |= {ref.key for ref in call.refs()}
        else:
            unread.add(number)
    return unread


def _check_bare(atoms: Atoms, recording: Recording) -> None:
    """A parameter that is left unmasked for one operator must not be read by another, which would take it for zero."""
    for call in recording.calls:
        for ref in call.refs():
            known, labels = atoms.bare.get(recording.names.get(ref.key, ""), (call.name, None))
            if known != call.name:
                where = f"operator {call.name.replace('::', '.')} at {call.module or 'the top module'}"
                atoms.pin(labels, f"is read by {known.replace('::', '.')}, too, which divides by its length: {where}")


def _step(walk: Propagation, call: Call, states: dict[int, State], modules: Mapping[str, nn.Module]) -> None:
    site = Site(call, walk.atoms, states, modules, walk.bookings)
    walk.read.append([site.state_of(ref).labels for ref in call.refs()])
    found = rule_for(call)
    if found is not None:
        result = found(site)
        made = [result] if isinstance(result, State) else list(result)
    else:
        made = _unknown(walk, site)
    refs = [x for x in call.outputs if isinstance(x, Ref)]
    for ref, state in zip(refs, made, strict=True):
        if call.mutates:
            _write(walk, states, call, ref, state)
        if ref.key not in walk.recording.names or call.mutates:
            states[ref.key] = state
    if site.pieces:
        walk.pieces[len(walk.labels)] = site.pieces
    walk.labels.append([s.labels for s in made])
    if site.positions:
        walk.positions[len(walk.labels) - 1] = site.positions


def rule_for(call: Call) -> Rule | None:
    """The rule of an operator: its own, or the elementwise one if torch says that it is elementwise."""
    if call.name in RULES:
        return RULES[call.name]
    return pointwise if _is_pointwise(call.func) else None


def _is_pointwise(func: OpOverload) -> bool:
    if torch.Tag.pointwise in func.tags:
        return True
    namespace, _, name = str(func._schema.name).partition("::")  # noqa: SLF001  torch offers no public name
    if not name.endswith("_") or name.endswith("__"):
        return False
    packet = getattr(getattr(torch.ops, namespace), name[:-1], None)
    overloads = [getattr(packet, o) for o in packet.overloads()] if packet is not None else []
    return any(torch.Tag.pointwise in o.tags for o in overloads)


def _unknown(walk: Propagation, site: Site) -> list[State]:
    """No rule: nothing that the operator touches may be cut. Factories touch nothing and are no cause for alarm."""
    touched = [site.state_of(r) for r in site.call.refs()]
    walk.unmet.append((site.call.name.replace("::", "."), [v for s in touched for v in s.labels if v is not None]))
    for state in touched:
        site.pin_all(state, "there is no rule for it")
    return [State.free(len(shape)) for shape in site.output_shapes]


def _unknown_to_tensors(walk: Propagation) -> list[str]:
    """The operators without a rule that met entries of a parameter or buffer, or what is joined to them."""
    if not any(vectors for _, vectors in walk.unmet):
        return []
    root = walk.atoms.components()
    holds = torch.zeros(walk.atoms.count, dtype=torch.bool)
    holds[root[1 : walk.atoms.stored]] = True
    return [name for name, vectors in walk.unmet if any(bool(holds[root[v[v > 0]]].any()) for v in vectors)]


def _write(walk: Propagation, states: dict[int, State], call: Call, ref: Ref, new: State) -> None:
    """After a write into memory: its other views hold the new entries too, and must know what is true of them."""
    old = states.get(ref.key)
    if old is None or torch.Tag.inplace_view in call.func.tags:  # a reshape in place writes no entry
        return
    for before, after in zip(old.labels, new.labels, strict=True):
        walk.atoms.join(before, after, f"is written where entries cannot be cut: operator {call.name} at {call.module}")
    loud = any(v is not None and not silent for v, silent in zip(new.labels, new.silent, strict=True))
    for key in walk.sharing[walk.recording.storage[ref.key]]:
        state = states.get(key)
        if state is not None and (loud or not new.static):
            silent = (False,) * len(state.silent) if loud else state.silent
            states[key] = replace(state, silent=silent, static=state.static and new.static)
