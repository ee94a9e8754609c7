"""Residual blocks that may go as a whole: modules that give their input back once all of their parameters are zero.

Silencing such a module and taking it out (an identity in its place) are the same. Whether a module is one is not read
off its code but tried: called again on the very tensor that the network gives it, with its own parameters at zero and
random numbers in all others, it must return that tensor, bit for bit. Sums with zero are exact, so no double precision
is needed. A block with a ReLU behind its sum passes where all that it is given came out of a ReLU; one with a
projection in its shortcut does not pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from secateur.core.example import Example
from secateur.core.groups import ChannelGraph, is_in
from secateur.core.rng import generator
from secateur.graph.cut import remove_
from secateur.graph.record import plain_operators, tensors_in

#: Entries that a block must have been seen to give back: a few could all be positive by chance, as behind a ReLU.
_ENTRIES = 256
#: Passes that look for so many, in training and in eval mode in turn; networks of usual size need one.
_PASSES = 8
#: Silent or taken out: outputs agree to rounding, or the rest of the network noticed.
_ALIKE = 1e-3

Check = Callable[[nn.Module, Tensor, Tensor], bool]


def removable(model: nn.Module, graph: ChannelGraph, example: Example) -> tuple[str, ...]:
    """Names of the modules that an identity may take the place of, in order of execution.

    Such a module is called once in a forward pass, with one tensor and nothing else, shares no tensor with the rest of
    the network, and the rest works without it. Of modules inside one another the outer one is named, unless all of its
    parameters belong to inner ones: so a stage of three blocks is three.

    Args:
        model: a copy that may be used up.
        graph: its channel graph.
        example: inputs that the model runs on; random ones like them are tried first.

    Cost: less than four forward passes.
    """
    working = frozenset(op.module for op in graph.ops)
    own = _eligible(model, working)
    if not own:
        return ()
    trial = _Trial(model, example, working, own)
    seen: dict[str, int] | None = None
    for number in range(_PASSES):
        found = trial.identities(list(own if seen is None else seen), number)
        if found is not None:
            seen = {name: entries + (seen or {}).get(name, 0) for name, entries in found.items()}
        if seen is not None and min(seen.values(), default=_ENTRIES) >= _ENTRIES:
            break
    whole = [name for name in seen or () if not _is_covered(name, seen or (), own)]
    return trial.unnoticed([name for name in whole if not any(is_in(name, [n]) for n in whole if n != name)])


def _is_covered(name: str, others: Iterable[str], own: Mapping[str, frozenset[str]]) -> bool:
    """Whether every parameter of module `name` belongs to one of `others` inside it."""
    return own[name] <= {leaf for n in others if n != name and is_in(n, [name]) for leaf in own[n]}


def _eligible(model: nn.Module, working: frozenset[str]) -> dict[str, frozenset[str]]:
    """Modules with parameters, and the names of those; all are their own.

    Single layers of torch are left out: they have no shortcut, and networks have many.
    """
    shared = _shared(model, working)
    paths: dict[int, list[str]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        paths.setdefault(id(module), []).append(path)
    found = {}
    for name, module in model.named_modules():
        own = frozenset(f"{name}.{leaf}" for leaf, _ in module.named_parameters())
        outside = any(len({is_in(n, paths[id(module)]) for n in names}) > 1 for names in shared)
        if name and own and not outside and not _is_layer(module):
            found[name] = own
    return found


def _is_layer(module: nn.Module) -> bool:
    return type(module).__module__.startswith("torch.nn.") and not list(module.children())


def _shared(model: nn.Module, working: frozenset[str]) -> list[list[str]]:
    """Names of all that has several: parameters, buffers, and modules whose multiply-accumulates go by one name."""
    every: list[tuple[str, object]] = [
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
        *model.named_modules(remove_duplicate=False),
    ]
    names: dict[int, list[str]] = {}
    for name, one in every:
        names.setdefault(id(one), []).append(name)
    tensors = {id(x) for _, x in every if isinstance(x, Tensor)}
    return [n for key, n in names.items() if len(n) > 1 and (key in tensors or working & set(n))]


@dataclass(slots=True)
class _Watch:
    """Looks at what candidates are given and give back in one forward pass.

    Attributes:
        standing: candidates that nothing speaks against so far.
        working: modules whose own calls cost multiply-accumulates; a candidate must enclose its own, and no others.
        own: names of the parameters of every candidate.
        check: `(module, given, returned)`: whether the candidate stands.
        running: what the candidates that are running now were given.
        entries: candidates that stood, and how many entries they gave back.
        busy: whether a candidate is being checked.
    """

    standing: set[str]
    working: frozenset[str]
    own: Mapping[str, frozenset[str]]
    check: Check
    running: dict[str, Tensor] = field(default_factory=dict)
    entries: dict[str, int] = field(default_factory=dict)
    busy: bool = False

    @contextmanager
    def over(self, model: nn.Module) -> Iterator[None]:
        """Watch `model` until the context is left."""
        with ExitStack() as stack:
            for name, module in model.named_modules():
                if name in self.standing | self.working:
                    # The first to see what the caller gives, the last to see what the caller gets.
                    pre = module.register_forward_pre_hook(self._entering(name), prepend=True, with_kwargs=True)
                    stack.callback(pre.remove)
                    stack.callback(module.register_forward_hook(self._leaving(name)).remove)
            yield

    def found(self) -> dict[str, int]:
        """Candidates that stood, in order of execution, with the entries that they gave back."""
        return {name: entries for name, entries in self.entries.items() if name in self.standing}

    def _entering(self, name: str) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if self.busy:
                return
            if name in self.standing:
                plain = len(args) == 1 and not kwargs and isinstance(args[0], Tensor) and args[0].is_floating_point()
                if plain and name not in self.running and name not in self.entries:
                    self.running[name] = args[0].detach().clone()
                else:
                    self.standing.discard(name)
            if name in self.working:
                self.standing -= {n for n in self.standing if (n in self.running) != is_in(name, [n])}

        return hook

    def _leaving(self, name: str) -> Any:
        def hook(module: nn.Module, _: tuple[Any, ...], returned: Any) -> None:
            given = None if self.busy else self.running.pop(name, None)
            if given is None or name not in self.standing:
                return
            covered = _is_covered(name, self.found(), self.own)
            fits = isinstance(returned, Tensor) and returned.shape == given.shape and returned.dtype == given.dtype
            self.busy = True
            if not covered and fits and self.check(module, given, returned):
                self.entries[name] = given.numel()
            else:
                self.standing.discard(name)
            self.busy = False

        return hook


@dataclass(slots=True)
class _Again:
    """Calls a module again on what it was given, with its parameters at zero.

    Attributes:
        hopeless: kinds of modules that give zeros then: there is no shortcut in them, nor in others of the kind.
    """

    hopeless: set[Any] = field(default_factory=set)

    def __call__(self, module: nn.Module, given: Tensor, _: Tensor) -> bool:
        """Whether the module returns `given`, and leaves it alone."""
        kind = _kind(module)
        if kind in self.hopeless:
            return False
        again = given.clone()
        try:
            with _silent([module]):
                returned = module(again)
        except Exception:  # whatever the user's forward says to zeros
            return False
        if not isinstance(returned, Tensor):
            return False
        if not bool(returned.any()):
            self.hopeless.add(kind)
        return _same(module, given, returned) and torch.equal(again, given)


def _same(_: nn.Module, given: Tensor, returned: Tensor) -> bool:
    """Whether both are equal, bit for bit; two tensors of zeros would tell nothing."""
    return returned.dtype == given.dtype and torch.equal(returned, given) and bool(given.any())


def _kind(module: nn.Module) -> Any:
    """What modules of one making have in common: classes, and the numbers, truth values and strings kept in them."""
    return tuple(
        (name, type(part), tuple((k, v) for k, v in vars(part).items() if isinstance(v, int | float | str)))
        for name, part in module.named_modules()
    )


@dataclass(slots=True)
class _Trial:
    """A private copy to try things on.

    Attributes:
        model: filled with random numbers before each pass.
        example: inputs that it runs on.
        working: modules whose own calls cost multiply-accumulates.
        own: names of the parameters of every candidate.
    """

    model: nn.Module
    example: Example
    working: frozenset[str]
    own: Mapping[str, frozenset[str]]

    def __post_init__(self) -> None:
        if any(p.dtype in (torch.float16, torch.bfloat16) for p in self.model.parameters()):
            self.model.float()  # random numbers leave the range of half precision soon
            self.example = self.example.map(lambda x: x.float() if x.is_floating_point() else x)

    def identities(self, names: Sequence[str], number: int) -> dict[str, int] | None:
        """Those of `names` that give their input back, with its entries; None where the network does not run.

        Nobody can tell the difference in training mode where a network does not train, on one sample for instance.
        """
        training = number % 2 == 0
        # Strong shifts leave the range of clipping activations; in training mode norms keep them from growing.
        self._fill_(number, 16.0 if training else 1.0)
        for inputs in self._inputs(number, training):
            watch = _Watch(set(names), self.working, self.own, _Again())
            with watch.over(self.model):
                if self._run(inputs, training) is not None:
                    return watch.found()
        return None

    def unnoticed(self, names: Sequence[str]) -> tuple[str, ...]:
        """Those of `names` that the rest of the network does not miss, in eval mode."""
        self._fill_(_PASSES, 1.0)
        if self._are_unnoticed(names):
            return tuple(names)
        left = tuple(name for name in names if self._are_unnoticed([name]))
        return left if self._are_unnoticed(left) else ()

    def _are_unnoticed(self, names: Sequence[str]) -> bool:
        """Whether silencing `names` is taking them out: each gives its input back, and the rest does as before."""
        for inputs in self._inputs(_PASSES, training=False):
            watch = _Watch(set(names), self.working, self.own, _same)
            with watch.over(self.model), _silent([self.model.get_submodule(n) for n in names]):
                silent = self._run(inputs)
            if silent is not None:
                with _without(self.model, names):
                    gone = self._run(inputs)
                return set(watch.found()) == set(names) and gone is not None and _alike(silent, gone)
        return False

    def _inputs(self, number: int, training: bool) -> Iterator[Example]:
        device = next(self.model.parameters()).device
        like = Example.from_spec(self.example.spec(), generator(number, "depth")).map(lambda x: x.to(device))
        yield from (like, self.example)
        if training:  # a batch norm over one value refuses
            yield from (like.wider(), self.example.wider())

    def _fill_(self, number: int, size: float) -> None:
        """Random numbers everywhere: weights by fan-in, vectors up to `size` and not near zero, norm statistics.

        After pass 0 weights keep their sizes and get other signs, row by row.
        """
        with torch.no_grad():
            for name, x in [*self.model.named_parameters(), *self.model.named_buffers()]:
                if not x.is_floating_point():
                    continue
                rng = generator(number, "depth", name)
                if name.rpartition(".")[2] in ("running_mean", "running_var"):
                    x.copy_(torch.empty(x.shape).uniform_(0.5, 1.5, generator=rng))
                elif isinstance(x, nn.Parameter) and x.ndim > 1 and number:  # quick to draw, and other numbers enough
                    x.mul_(torch.randint(2, (len(x), *[1] * (x.ndim - 1)), generator=rng).mul(2).sub(1).to(x))
                elif isinstance(x, nn.Parameter) and x.ndim > 1:
                    bound = (6 * len(x) / max(x.numel(), 1)) ** 0.5
                    in_place = x.is_cpu and x.element_size() >= 4  # saves much time where weights are large
                    x.copy_((x if in_place else torch.empty(x.shape)).uniform_(-bound, bound, generator=rng))
                elif isinstance(x, nn.Parameter):
                    noise = torch.empty(x.shape).uniform_(-1, 1, generator=rng)
                    x.copy_(size * (noise + noise.sign()) / 2)

    def _run(self, inputs: Example, training: bool = False) -> list[Tensor] | None:
        """Every tensor that the model returns, in double precision, or None where it does not run."""
        try:
            self.model.train(training)
            with torch.random.fork_rng(devices=[]), torch.no_grad(), plain_operators():
                torch.manual_seed(0)
                found = tensors_in(inputs.map(torch.clone).call(self.model))
            return [(torch.view_as_real(x) if x.is_complex() else x).double() for x in found]
        except Exception:  # it refuses random inputs, say
            return None


@contextmanager
def _silent(modules: Sequence[nn.Module]) -> Iterator[None]:
    """All parameters of `modules` are zero inside the context; they share one piece of memory."""
    own = [(p, p.data) for module in modules for p in module.parameters()]
    zeros: dict[tuple[torch.dtype, torch.device], Tensor] = {}
    try:
        for p, data in sorted(own, key=lambda pair: -pair[1].numel()):
            kind = data.dtype, data.device
            if kind not in zeros:
                zeros[kind] = torch.zeros(data.numel(), dtype=data.dtype, device=data.device)
            p.data = zeros[kind][: data.numel()].view(data.shape)
        yield
    finally:
        for p, data in own:
            p.data = data


@contextmanager
def _without(model: nn.Module, names: Sequence[str]) -> Iterator[None]:
    """Identities stand in for the modules called `names` inside the context."""
    gone = [model.get_submodule(name) for name in names]
    places = [(path, m) for path, m in model.named_modules(remove_duplicate=False) if any(m is g for g in gone)]
    remove_(model, names)
    try:
        yield
    finally:
        for path, module in places:
            owner, _, leaf = path.rpartition(".")
            setattr(model.get_submodule(owner), leaf, module)


def _alike(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    """Whether two lists of outputs are the same but for rounding."""
    if [x.shape for x in a] != [x.shape for x in b]:
        return False
    return all(
        torch.allclose(x, y, rtol=_ALIKE, atol=_ALIKE * float(x.nan_to_num().abs().max()), equal_nan=True)
        for x, y in zip(a, b, strict=True)
        if x.numel()
    )
