"""Run a model once and write down every tensor operator: what it was called with, what came out, who called it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from secateur.core.copying import copied
from secateur.core.errors import TraceError
from secateur.core.example import Example
from secateur.core.groups import LIVE_FUNCTIONS
from secateur.graph.weightless import OnlyShapes
from secateur.graph.whole import WholeCalls

#: Types of arguments in which a plain integer is a number to calculate with, and not a size, a dim or a position.
_NUMBERS = frozenset({"number", "Tensor", "Optional[number]", "Optional[Tensor]"})


@dataclass(frozen=True, slots=True)
class Ref:
    """Stands for a tensor in recorded arguments: `key` tells tensors apart, in-place results keep their key."""

    key: int
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One operator call.

    Attributes:
        func: the ATen operator.
        bound: arguments by schema name; tensors replaced by `Ref`.
        outputs: results, tensors replaced by `Ref`, flattened.
        module: qualified name of the module whose forward made the call.
        function: the function of `LIVE_FUNCTIONS` that the forward called to make it, and how many calls of that
            function came before, if it is one of them.
    """

    func: OpOverload
    bound: dict[str, Any]
    outputs: tuple[Any, ...]
    module: str
    function: tuple[str, int] | None = None

    @property
    def name(self) -> str:
        """Schema name without the in-place underscore: `aten::relu_` and `aten::relu` are one operator."""
        return _name_of(self.func)

    @property
    def mutates(self) -> bool:
        """Whether the operator writes into one of its arguments."""
        return bool(self.func._schema.is_mutable)  # noqa: SLF001

    def refs(self) -> list[Ref]:
        """All tensor arguments."""
        return [x for value in self.bound.values() for x in _leaves(value) if isinstance(x, Ref)]

    def scalars(self) -> list[float]:
        """All numbers that enter the arithmetic, sizes and dims left out; they must not change when widths do."""
        kinds = _kinds_of(self.func)
        return [
            float(x)
            for name, value in self.bound.items()
            for x in _leaves(value)
            if isinstance(x, float) or (type(x) is int and kinds.get(name, "number") in _NUMBERS)
        ]


@cache
def _name_of(func: OpOverload) -> str:
    name = str(func._schema.name)  # noqa: SLF001  torch offers no public name
    return name.removesuffix("_") if func._schema.is_mutable and not name.endswith("__") else name  # noqa: SLF001


@cache
def _kinds_of(func: OpOverload) -> dict[str, str]:
    """Arguments by name, in order, with their types."""
    return {a.name: str(a.type) for a in func._schema.arguments}  # noqa: SLF001  torch offers no public name


def _leaves(value: Any) -> Iterator[Any]:
    """What is in an argument or a result of an operator: nothing is nested but lists and tuples."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


@dataclass(slots=True, eq=False, weakref_slot=True)
class Recording:
    """Everything one forward pass did.

    Attributes:
        calls: operator calls in order.
        names: key of a tensor to the parameter or buffer name.
        plain: key of a tensor that is neither, but that a module keeps, to its path.
        outputs: the tensors that the model returned.
        storage: key to an identity of its memory, so that aliases are known.
        failure: what went wrong, and in which module, if the pass did not finish.
        refused: the last call that torch did not carry out, without results.
    """

    calls: list[Call] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    plain: dict[int, str] = field(default_factory=dict)
    outputs: list[Ref] = field(default_factory=list)
    storage: dict[int, int] = field(default_factory=dict)
    failure: tuple[Exception, str] | None = None
    refused: Call | None = None


class Stop(BaseException):
    """Raised by a watcher that has seen enough. Not an `Exception`, so that no forward pass takes it for its own."""


#: Looks at every call right after it was made.
Watch = Callable[[Call], None]


@dataclass(slots=True)
class _Frame:
    """A module whose forward is running, and how often it has called which function so far, its children included."""

    module: str
    calls: Counter[str] = field(default_factory=Counter)


class _Functions(TorchFunctionMode):
    """Knows which function of torch a forward is in. Operators are recorded far below, where that is forgotten."""

    def __init__(self, stack: list[_Frame]) -> None:
        super().__init__()
        self.stack = stack
        self.current: tuple[str, int] | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name not in LIVE_FUNCTIONS or self.current is not None:
            return func(*args, **(kwargs or {}))
        for frame in self.stack:
            frame.calls[name] += 1
        self.current = name, self.stack[-1].calls[name] - 1
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self.current = None


class _Recorder(TorchDispatchMode):
    def __init__(
        self, model: nn.Module, inputs: Example, recording: Recording, functions: _Functions, watch: Watch | None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        self.shapes = OnlyShapes([*model.parameters(), *model.buffers(), *inputs.tensors()])
        self.recording = recording
        self.functions = functions
        self.watch = watch
        self.paused = False
        self.keys: dict[int, int] = {}
        self.alive: list[Tensor] = []  # keeps ids unique for as long as the recording runs
        self.homes: set[int] = set()  # of parameters and buffers
        self.places: dict[tuple[Any, ...], int] = {}
        self.plain = {
            id(value): f"{name}.{attribute}" if name else attribute
            for name, module in model.named_modules()
            for attribute, value in vars(module).items()
            if isinstance(value, Tensor)
        }
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            ref = self.ref(tensor)
            self.recording.names.setdefault(ref.key, name)
            self.homes.add(self.recording.storage[ref.key])
            self.places[_place(tensor)] = ref.key

    def ref(self, tensor: Tensor) -> Ref:
        key = self.keys.get(id(tensor))
        if key is None:
            home, key = _home(tensor), len(self.alive)
            if home in self.homes:
                # `.data` and friends hand out a new object for the same memory: it is still the same parameter.
                key = self.places.get(_place(tensor), key)
            self.keys[id(tensor)] = key
            self.alive.append(tensor)
            if key not in self.recording.names and id(tensor) in self.plain:
                self.recording.plain[key] = self.plain[id(tensor)]
            self.recording.storage[key] = home
        return Ref(key, tuple(tensor.shape))

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.paused:
            return self.shapes.run(func, args, kwargs)
        return self.note(func, args, kwargs, lambda: self.shapes.run(func, args, kwargs))

    def whole(self, func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], run: Callable[[], Any]) -> Any:
        """Note a call without what happens inside it."""
        self.paused = True
        try:
            return self.note(func, args, kwargs, run)
        finally:
            self.paused = False

    def note(self, func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], run: Callable[[], Any]) -> Any:
        """Write one call down and return what it returns."""
        bound = dict(zip(_kinds_of(func), self.hide(args), strict=False)) | {k: self.hide(v) for k, v in kwargs.items()}
        bound.pop("device", None)  # a recording is the same wherever it is made
        if func.name().startswith("aten::lift_fresh") and args[0].numel() == 1:
            bound["value"] = float(args[0])  # `torch.tensor(x.shape[1])`: a number that may come from a width
        if func.name().startswith("aten::as_strided"):
            bound["moves"] = not _same_places(args[0], *args[1:], **kwargs)
        where = self.functions.stack[-1].module
        try:
            out = run()
        except Exception:
            self.recording.refused = Call(func, bound, (), where, self.functions.current)
            raise
        outputs = tuple(self.hide(x) for x in _leaves(out))
        self.recording.calls.append(Call(func, bound, outputs, where, self.functions.current))
        if self.watch is not None:
            self.watch(self.recording.calls[-1])
        return out

    def hide(self, value: Any) -> Any:
        """An operator's argument or result with its tensors replaced by references."""
        if isinstance(value, Tensor):
            return self.ref(value)
        if isinstance(value, list | tuple):
            return [self.hide(x) for x in value]
        return value


def _same_places(tensor: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> bool:
    """Whether `as_strided` leaves every entry where it is; the stride of a dim of one entry says nothing."""
    same = zip(tensor.shape, tensor.stride(), stride, strict=False)
    stays = storage_offset is None or storage_offset == tensor.storage_offset()
    return stays and tuple(size) == tuple(tensor.shape) and all(a == b for n, a, b in same if n > 1)


def _home(tensor: Tensor) -> int:
    """An identity of its memory; its own where it has none that is one piece, as sparse tensors have not."""
    if tensor.layout is not torch.strided:
        return id(tensor)
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001  an address, not data


def _place(tensor: Tensor) -> tuple[Any, ...]:
    if tensor.layout is not torch.strided:
        return (id(tensor),)
    return _home(tensor), tensor.storage_offset(), tuple(tensor.shape), tuple(tensor.stride())


@contextmanager
def plain_operators() -> Iterator[None]:
    """Switch off fused attention and fast paths, which would hide operators; everything is put back on leaving."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def record(model: nn.Module, example: Example, watch: Watch | None = None, *, places: bool = True) -> Recording:
    """Run `model` (a copy that may be used up) and write down what happens; a failing pass is recorded as `failure`.

    Args:
        model: runs as it is, in its mode and on its device.
        example: its inputs; the pass gets copies.
        watch: called with every call; may raise `Stop`, which ends the pass and is no failure.
        places: whether to find out in which module each call is made, and through which function; costs a quarter more.
    """
    recording, stack = Recording(), [_Frame("")]
    handles = []
    for name, module in model.named_modules() if places else ():
        handles.append(module.register_forward_pre_hook(lambda *_, name=name: stack.append(_Frame(name))))
        handles.append(module.register_forward_hook(lambda *_: _pop(stack)))
    functions, example = _Functions(stack), example.map(torch.clone)  # a forward may write into its inputs
    recorder = _Recorder(model, example, recording, functions, watch)
    try:
        with (
            torch.random.fork_rng(devices=[]),
            torch.no_grad(),
            plain_operators(),
            functions if places else nullcontext(),
            recorder,
            WholeCalls(recorder.whole),
        ):
            output = example.call(model)
        recording.outputs = [recorder.ref(x) for x in tensors_in(output)]
        if recorder.shapes.failure is not None:  # the forward pass has caught it
            raise recorder.shapes.failure
    except Stop:
        pass
    except Exception as error:
        recording.failure = (error, stack[-1].module)
    finally:
        for handle in handles:
            handle.remove()
    return recording


def _pop(stack: list[_Frame]) -> None:
    stack.pop()


def private_copy(model: nn.Module, *, shared: bool = False) -> nn.Module:
    """A deep copy in eval mode.

    Args:
        model: what to copy.
        shared: whether its plain parameters lie in the same memory as the model's, and must not be written to.

    Raises:
        TraceError: the model cannot be copied.
    """
    plain = [p for p in model.parameters() if shared and type(p) is nn.Parameter]
    try:
        return copied(model, {id(p): nn.Parameter(p.detach(), p.requires_grad) for p in plain}).eval()
    except (RuntimeError, TypeError) as error:
        raise TraceError(
            f"the model cannot be copied ({error}). Secateur works on copies; remove what cannot be copied, "
            "for instance non-leaf tensors kept as attributes."
        ) from error


def tensors_in(output: Any) -> list[Tensor]:
    """Tensors anywhere in a model's output: in tuples, dicts, and the attributes of other objects, however deep."""
    found: list[Tensor] = []
    seen: set[int] = set()
    waiting = tree_leaves(output)
    while waiting:
        leaf = waiting.pop(0)
        if isinstance(leaf, Tensor):
            found.append(leaf)
        elif hasattr(leaf, "__dict__") and not isinstance(leaf, type | nn.Module) and id(leaf) not in seen:
            seen.add(id(leaf))
            waiting += tree_leaves(vars(leaf))
    return found
