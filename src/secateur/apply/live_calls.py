"""Let a forward leave dead units out of means, norms and softmaxes, as the shrunk network will.

A masked network has zeros where the shrunk one has nothing. That is the same in a sum, but not in a mean, which divides
by the number of entries, nor in a softmax, which gives each of them a share. So the few calls that compute over a cut
dim are replaced while the forward of their module runs; everything else in the forward is the user's own.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from secateur.apply.live_functions import HANDLERS, Live
from secateur.core.groups import LIVE_FUNCTIONS

#: The calls of one module to replace: function and number to the dims over which they compute.
LiveCalls = Mapping[tuple[str, int], tuple[Live, ...]]


class LiveForward:
    """Mixed into the class of a module whose forward computes over cut dims."""

    live_calls: LiveCalls

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's own forward, with dead units left out where it computes over them."""
        with _Replace(self.live_calls):
            return super().forward(*args, **kwargs)  # type: ignore[misc]  # the module's own class comes next


class _Threads(threading.local):
    def __init__(self) -> None:
        self.running: list[_Replace] = []
        self.inside = False


_THREADS = _Threads()


class _Replace(TorchFunctionMode):
    """Counts the calls of each function while a forward runs, as the recorder did, and replaces the known ones."""

    def __init__(self, calls: LiveCalls) -> None:
        super().__init__()
        self.calls = calls
        self.counts: Counter[str] = Counter()

    def __enter__(self) -> _Replace:
        _THREADS.running.append(self)
        super().__enter__()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        _THREADS.running.remove(self)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name not in LIVE_FUNCTIONS or _THREADS.inside:
            return func(*args, **kwargs)
        live: tuple[Live, ...] = ()
        for run in _THREADS.running:  # the forwards around this one count its calls, too
            live += run.calls.get((name, run.counts[name]), ())
            run.counts[name] += 1
        shape = _shape(args, kwargs)
        live = tuple(one for one in live if one.call.dim < len(shape) and shape[one.call.dim] == one.call.size)
        _THREADS.inside = True
        try:
            return HANDLERS[name](live, *args, **kwargs) if live else func(*args, **kwargs)
        finally:
            _THREADS.inside = False


def _shape(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[int, ...]:
    first = args[0] if args else kwargs.get("input")
    return tuple(first.shape) if isinstance(first, Tensor) else ()


def make_live_(module: nn.Module, calls: LiveCalls) -> None:
    """Let the forward of `module` make `calls` over live units only, in place."""
    kind = type(module)
    module.__class__ = type(f"Live{kind.__name__}", (LiveForward, kind), {})
    module.live_calls = calls  # type: ignore[assignment]  # a plain attribute beside tensors and modules


def live_calls_of(module: nn.Module) -> LiveCalls:
    """The calls that `make_live_` was given, or none."""
    return module.live_calls if isinstance(module, LiveForward) else {}


def unmake_live_(modules: Iterable[nn.Module]) -> None:
    """Undo `make_live_` in place."""
    for module in modules:
        if isinstance(module, LiveForward):
            module.__class__ = type(module).__bases__[1]
            del module.live_calls
