"""Which parameters to scale so that a given activation is scaled, and nothing else.

Walks back from a tensor of a recording through operators that pass a factor on: data movement, sums of scaled terms,
products, matrix products, affine norms. Where the walk ends in parameters on all ways, scaling them scales the tensor;
then it is checked that no call outside the walk reads any of the entries that would change.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from secateur.graph.record import Call, Recording, Ref

#: Operators that pass a positive factor of their only tensor on.
_PASS = frozenset(
    {
        "aten::neg", "aten::clone", "aten::_to_copy", "aten::detach", "aten::alias", "aten::native_dropout",
        "aten::relu", "aten::abs", "aten::leaky_relu", "aten::lift_fresh",
    }
)  # fmt: skip
#: Operators that put entries elsewhere and change none.
MOVING = frozenset(
    {
        "aten::view", "aten::_unsafe_view", "aten::reshape", "aten::permute", "aten::transpose", "aten::t",
        "aten::expand", "aten::repeat", "aten::squeeze", "aten::unsqueeze", "aten::select", "aten::slice",
        "aten::split", "aten::split_with_sizes", "aten::chunk", "aten::unbind", "aten::cat", "aten::stack",
        "aten::flip", "aten::roll", "aten::movedim", "aten::unsafe_split", "aten::unsafe_split_with_sizes",
    }
)  # fmt: skip
#: Those of them that lay the same entries out in another shape.
_VIEWS = ("aten::view", "aten::_unsafe_view", "aten::reshape")
#: Those of them that may put an entry in several places.
_REPEATING = frozenset({"aten::expand", "aten::repeat"})
#: Operators that make nothing but zeros, which any factor leaves alone.
_ZEROS = frozenset({"aten::zeros", "aten::new_zeros", "aten::zeros_like"})
#: Operators that read how long a tensor is, and none of its entries.
_LENGTHS = frozenset({"aten::zeros_like", "aten::ones_like", "aten::full_like", "aten::empty_like", "aten::new_zeros"})
#: Matrix products: the operands and the bias.
_PRODUCTS = {
    "aten::mm": ("self", "mat2", ""),
    "aten::bmm": ("self", "mat2", ""),
    "aten::addmm": ("mat1", "mat2", "self"),
    "aten::baddbmm": ("batch1", "batch2", "self"),
}
_NORMS = ("aten::native_layer_norm", "aten::native_batch_norm", "aten::_native_batch_norm_legit_no_training")


_Found = TypeVar("_Found")

#: Goes on behind a call: its number, the entries of its result to scale, and the result.
_Step = Callable[[Call, int, Tensor, Ref], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """Entries of a parameter to scale: `entries`, long, along `dim`."""

    tensor: str
    dim: int
    entries: Tensor


@dataclass(slots=True)
class _Known:
    """What is known about a recording, whatever is asked.

    Attributes:
        makers: by tensor, the calls that make it.
        readers: by tensor, the calls that read it.
        memo: what was computed from entries and the likes of a call; the entries stay alive, so that no others get
            their `id`. Equal blocks make equal calls, so a network of twelve costs little more than one.
    """

    makers: Mapping[int, list[int]]
    readers: Mapping[int, list[int]]
    memo: dict[Any, tuple[Tensor | None, Any]] = field(default_factory=dict)

    def once(self, make: Callable[[], _Found], entries: Tensor | None, *key: Any) -> _Found:
        """What `make` returns, computed once for these very entries and this key."""
        full = (id(entries), *key)
        if full not in self.memo:
            self.memo[full] = entries, make()
        found: _Found = self.memo[full][1]
        return found

    def all_of(self, shape: tuple[int, ...]) -> Tensor:
        """All entries of a tensor of this shape; the same object each time."""
        return self.once(lambda: torch.ones((), dtype=torch.bool).expand(shape), None, "all", shape)


@dataclass(slots=True)
class _Search:
    recording: Recording
    known: _Known
    calls: set[int] = field(default_factory=set)
    changed: list[tuple[Ref, Tensor]] = field(default_factory=list)
    ends: list[tuple[str, Tensor]] = field(default_factory=list)

    def scale(self, ref: Ref, before: int, wanted: Tensor) -> bool:
        """Scale the entries `wanted`, boolean in the tensor's shape, of a tensor as it stood before a call."""
        if not self.known.once(lambda: bool(_thin(wanted).any()), wanted, "any"):
            return True
        earlier = [n for n in self.known.makers.get(ref.key, []) if n < before]
        if earlier and self.recording.calls[earlier[-1]].name in _ZEROS:
            return True
        self.changed.append((ref, wanted))
        if not earlier:
            if ref.key in self.recording.names:
                self.ends.append((self.recording.names[ref.key], wanted))
            return ref.key in self.recording.names
        number = earlier[-1]
        self.calls.add(number)
        step = self.step(self.recording.calls[number])
        return step is not None and step(self.recording.calls[number], number, wanted, ref)

    def step(self, call: Call) -> _Step | None:
        """How to go on behind a call; None where a factor does not pass it."""
        if call.name in ("aten::mul", "aten::div"):
            return self.through if len(call.refs()) == 1 else self.multiplied
        if call.name in ("aten::add", "aten::sub"):
            return self.summed if len(call.refs()) == 2 else None
        ways: list[tuple[Container[str], _Step]] = [
            (("aten::expand",), self.expanded),
            (_PASS, self.through),
            (MOVING, self.moved),
            (_PRODUCTS, self.product),
            (_NORMS, self.normed),
            (("aten::convolution",), self.convolved),
        ]
        return next((step for names, step in ways if call.name in names), None)

    def attempt(self, tries: Iterable[Callable[[], bool]]) -> bool:
        """The first of several ways that works; a failing one leaves no trace."""
        for attempt in tries:
            kept = set(self.calls), list(self.changed), list(self.ends)
            if attempt():
                return True
            self.calls, self.changed, self.ends = kept
        return False

    def spread(self, ref: Ref, number: int, wanted: Tensor) -> bool:
        """An operand that is broadcast to the shape of the result."""
        own = self.known.once(lambda: _spread(ref.shape, wanted), wanted, "spread", ref.shape)
        return own is not None and self.scale(ref, number, own)

    def through(self, call: Call, number: int, wanted: Tensor, _: Ref) -> bool:
        return self.scale(call.refs()[0], number, wanted)

    def summed(self, call: Call, number: int, wanted: Tensor, _: Ref) -> bool:
        return all(self.spread(ref, number, wanted) for ref in call.refs())

    def multiplied(self, call: Call, number: int, wanted: Tensor, _: Ref) -> bool:
        refs = call.refs()[:1] if call.name == "aten::div" else call.refs()
        refs = sorted(refs, key=lambda r: r.key not in self.recording.names)
        return self.attempt([lambda r=r: self.spread(r, number, wanted) for r in refs])  # type: ignore[misc]

    def expanded(self, call: Call, number: int, wanted: Tensor, _: Ref) -> bool:
        return self.spread(call.refs()[0], number, wanted)

    def moved(self, call: Call, number: int, wanted: Tensor, ref: Ref) -> bool:
        if call.refs()[0].shape == ref.shape and call.name in _VIEWS:  # of a weight repeated for a batch it is huge
            return self.scale(call.refs()[0], number, wanted)
        place = _place(call, ref)
        pieces = self.known.once(lambda: self.sources(call, place, wanted), wanted, "moved", place, _likes(call))
        return pieces is not None and all(
            self.scale(s, number, piece) for s, piece in zip(call.refs(), pieces, strict=True)
        )

    def sources(self, call: Call, place: int, wanted: Tensor) -> list[Tensor] | None:
        """The entries that a movement takes to `wanted` in one of its results; None where they go elsewhere, too."""
        refs = call.refs()
        one_to_one = call.name not in _REPEATING and len(refs) == 1 and _size(refs[0]) == wanted.numel()
        if one_to_one and self.known.once(lambda: bool(_thin(wanted).all()), wanted, "whole"):
            return [self.known.all_of(refs[0].shape)]  # everything comes from everything
        return _sources(call, place, wanted)

    def product(self, call: Call, number: int, wanted: Tensor, _: Ref) -> bool:
        left, right, bias = (call.bound.get(n) for n in _PRODUCTS[call.name])
        assert isinstance(left, Ref) and isinstance(right, Ref)

        def along(dim: int, operand: Ref) -> bool:
            own = self.known.once(lambda: _whole(wanted, dim, operand.shape), wanted, "product", dim, operand.shape)
            return own is not None and self.scale(operand, number, own)

        if not self.attempt([lambda: along(-2, right), lambda: along(-1, left)]):
            return False
        return not isinstance(bias, Ref) or self.spread(bias, number, wanted)

    def normed(self, call: Call, number: int, wanted: Tensor, _: Ref) -> bool:
        w, b = call.bound.get("weight"), call.bound.get("bias")
        if not isinstance(w, Ref):
            return False
        aligned = wanted
        if "layer" not in call.name:
            aligned = self.known.once(lambda: wanted.movedim(1, -1), wanted, "channels last")
        return all(self.spread(ref, number, aligned) for ref in (w, b) if isinstance(ref, Ref))

    def convolved(self, call: Call, number: int, wanted: Tensor, _: Ref) -> bool:
        w, b = call.bound["weight"], call.bound.get("bias")
        found = self.known.once(lambda: _filters(w.shape, wanted), wanted, "convolved", w.shape)
        if call.bound.get("transposed") or found is None:
            return False
        filters, one = found
        return self.scale(w, number, filters) and (not isinstance(b, Ref) or self.scale(b, number, one))

    def private(self, last: int) -> bool:
        """Whether no call but those of the walk, and the one it began at, reads an entry that changes."""
        outputs = {ref.key for ref in self.recording.outputs}
        if any(ref.key in outputs for ref, _ in self.changed):
            return False
        return not any(
            self._reads(number, ref, entries)
            for ref, entries in self.changed
            for number in self.known.readers.get(ref.key, [])
            if number not in self.calls and number != last
        )

    def _reads(self, number: int, ref: Ref, entries: Tensor) -> bool:
        call = self.recording.calls[number]
        if call.name not in MOVING:
            return call.name not in _LENGTHS
        mine = tuple(s.key == ref.key for s in call.refs())
        return self.known.once(lambda: _passes_on(call, mine, entries), entries, "reads", mine, _likes(call))


def _spread(shape: tuple[int, ...], wanted: Tensor) -> Tensor | None:
    """The entries of an operand of `shape` that were broadcast to `wanted`; None where others were, too."""
    lead = wanted.ndim - len(shape)
    dims = [*range(lead), *(lead + d for d, s in enumerate(shape) if s == 1 and wanted.shape[lead + d] > 1)]
    if not dims:
        return wanted
    thin = _thin(wanted)
    lines = thin.sum(dims, keepdim=True) > 0
    same = bool((lines == thin).all())
    return lines.expand([1 if d in dims else s for d, s in enumerate(wanted.shape)]).reshape(shape) if same else None


def _thin(wanted: Tensor) -> Tensor:
    """One entry of every dim along which all are the same in memory: a weight repeated for a batch has billions."""
    for dim, stride in enumerate(wanted.stride()):
        wanted = wanted if stride or not wanted.shape[dim] else wanted.narrow(dim, 0, 1)
    return wanted


def _whole(wanted: Tensor, dim: int, shape: tuple[int, ...]) -> Tensor | None:
    """The columns (dim -2) or rows (dim -1) of an operand of `shape` that make up `wanted`; None if they do not."""
    lines = wanted.any(dim, keepdim=True)
    return lines.expand(shape) if torch.equal(lines.expand_as(wanted), wanted) else None


def _filters(shape: tuple[int, ...], wanted: Tensor) -> tuple[Tensor, Tensor] | None:
    """The filters of a weight of `shape` and their biases that make the channels of `wanted`, if it is whole ones."""
    channels = wanted.movedim(1, -1)
    one = channels.reshape(-1, channels.shape[-1]).any(0)
    if not torch.equal(one.expand_as(channels), channels):
        return None
    return one.view(-1, *[1] * (len(shape) - 1)).expand(shape), one


def _sources(call: Call, place: int, wanted: Tensor) -> list[Tensor] | None:
    """The entries that a movement takes to `wanted` in its output number `place`; None where they go elsewhere too."""
    sources = call.refs()
    hit = torch.zeros(sum(_size(s) for s in sources), dtype=torch.bool)
    if len(sources) == 1 and call.name not in _REPEATING:
        one = hit.view(sources[0].shape)
        seen = _results(call, [one])[place]
        if seen.untyped_storage().data_ptr() == hit.data_ptr():  # a view, through which to write costs least
            seen.logical_or_(wanted)
            return [one] if torch.equal(seen, wanted) else None
    sources, out = _moved(call, place)
    hit[out[wanted]] = True
    if not torch.equal(hit[out], wanted):
        return None
    return [piece.view(s.shape) for s, piece in zip(sources, hit.split([_size(s) for s in sources]), strict=True)]


def _passes_on(call: Call, mine: tuple[bool, ...], entries: Tensor) -> bool:
    """Whether a movement hands on any of `entries` of those of its arguments that are `mine`."""
    for place in range(sum(isinstance(x, Ref) for x in call.outputs)):
        sources, ids = _moved(call, place)
        parts = [entries if own else torch.zeros(s.shape) for s, own in zip(sources, mine, strict=True)]
        if bool(torch.cat([part.reshape(-1).bool() for part in parts])[ids].any()):
            return True
    return False


def _place(call: Call, ref: Ref) -> int:
    """Which of the call's results a tensor is."""
    return [x.key for x in call.outputs if isinstance(x, Ref)].index(ref.key)


def _likes(call: Call) -> Any:
    """What a movement does, whichever tensors it does it to: two calls with equal likes take entries alike."""
    outputs = tuple(x.shape for x in call.outputs if isinstance(x, Ref))
    return call.func, outputs, tuple((name, _frozen(value)) for name, value in call.bound.items())


def _frozen(value: Any) -> Any:
    if isinstance(value, Ref):
        return Ref, value.shape
    return tuple(_frozen(x) for x in value) if isinstance(value, list | tuple) else value


def _size(ref: Ref) -> int:
    return int(torch.Size(ref.shape).numel())


def _moved(call: Call, place: int) -> tuple[list[Ref], Tensor]:
    """The tensors that a movement reads, and for every entry of one output the number of the entry it comes from."""
    sources = call.refs()
    total = sum(_size(s) for s in sources)
    short = torch.int32 if total < 2**31 else torch.int64  # half the memory to move about
    numbered = torch.arange(total, dtype=short).split([_size(s) for s in sources])
    return sources, _results(call, [x.view(s.shape) for x, s in zip(numbered, sources, strict=True)])[place]


def _results(call: Call, arguments: list[Tensor]) -> list[Tensor]:
    """What a movement makes of other tensors of the same shapes."""
    given = iter(arguments)
    bound: dict[str, Any] = tree_map(lambda x: next(given) if isinstance(x, Ref) else x, call.bound)
    if call.name in _VIEWS:
        return [bound["self"].reshape(next(x.shape for x in call.outputs if isinstance(x, Ref)))]
    return [x for x in tree_leaves(call.func(**bound)) if isinstance(x, Tensor)]


def scalable(recording: Recording, ref: Ref, at: int) -> list[Scaled] | None:
    """Parameters to scale so that `ref`, as call `at` reads it, is scaled, and nothing that anyone else reads."""
    known = _known(recording)
    search = _Search(recording, known)
    if not search.scale(ref, at, known.all_of(ref.shape)) or not search.private(at):
        return None
    ends: dict[str, Tensor] = {}
    for name, wanted in search.ends:  # the same weights are met on every way that leads to them
        ends[name] = ends[name] | wanted if name in ends else wanted
    found = []
    for name, wanted in ends.items():
        along = known.once(lambda wanted=wanted: _along(wanted), wanted, "along")  # type: ignore[misc]
        if along is None:
            return None
        found.append(Scaled(name, *along))
    return found


def _known(recording: Recording) -> _Known:
    """Asked for again and again about one recording, and forgotten with it."""
    if recording not in _KNOWN:
        makers: dict[int, list[int]] = {}
        readers: dict[int, list[int]] = {}
        for number, call in enumerate(recording.calls):
            for out in call.outputs:
                if isinstance(out, Ref):
                    makers.setdefault(out.key, []).append(number)
            for key in {ref.key for ref in call.refs()}:
                readers.setdefault(key, []).append(number)
        _KNOWN[recording] = _Known(makers, readers)
    return _KNOWN[recording]


_KNOWN: WeakKeyDictionary[Recording, _Known] = WeakKeyDictionary()


def _along(wanted: Tensor) -> tuple[int, Tensor] | None:
    """A dim, and the slices along it that entries are, if they are whole ones."""
    for dim in range(wanted.ndim):
        rows = wanted.movedim(dim, 0).reshape(wanted.shape[dim], -1)
        if torch.equal(rows.any(1), rows.all(1)):
            return dim, rows.any(1).nonzero().flatten()
    return None
