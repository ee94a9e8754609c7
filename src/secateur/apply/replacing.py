"""Putting other modules in the place of layers, on a copy, and proving that nothing but the weights changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import prod

import torch
from torch import Tensor, nn

from secateur.core.contracts import Call
from secateur.core.copying import copied
from secateur.core.errors import UnknownNameError, UnsupportedError, VerificationError
from secateur.core.example import Example
from secateur.graph.record import tensors_in

#: In float64 equal networks stay below it.
_SAME = 1e-7
#: The same for networks that insist on the types that they have.
_NEARLY_SAME = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A layer that may be replaced.

    Attributes:
        module: it, in the user's model.
        calls: how it was called in one forward pass on the example inputs.
    """

    module: nn.Linear | nn.Conv2d
    calls: tuple[Call, ...]

    @property
    def params(self) -> int:
        """Parameters, bias included."""
        return sum(p.numel() for p in self.module.parameters())

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all calls."""
        return sum(call.batch * prod(call.outputs) for call in self.calls) * self.module.weight.numel()


def layers_of(
    model: nn.Module, example: Example, *, only: Sequence[str], frozen: Sequence[str]
) -> tuple[dict[str, Layer], dict[str, str]]:
    """Linear layers and convolutions that may be replaced, and why the others may not.

    Args:
        model: it is not touched; a copy runs once.
        example: what it runs on.
        only: patterns of module names (`"layer?.*"`).
        frozen: patterns of modules that stay.

    Raises:
        UnknownNameError: a pattern meets no layer.
    """
    modules = {n: m for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    for pattern in (*only, *frozen):
        if not any(fnmatchcase(name, pattern) for name in modules):
            raise UnknownNameError(
                f"no linear layer or convolution is called {pattern!r}. Layers: {', '.join(modules) or 'none'}."
            )
    owners = Counter(id(m.weight) for m in modules.values())
    calls = _calls(model, example, modules)
    found, refused = {}, {}
    for name, module in modules.items():
        chosen = any(fnmatchcase(name, p) for p in only) and not any(fnmatchcase(name, p) for p in frozen)
        reason = _reason(module, owners[id(module.weight)], calls[name]) if chosen else "not asked for"
        if reason:
            refused[name] = reason
        else:
            found[name] = Layer(module, calls[name])
    return found, refused


def _reason(module: nn.Module, owners: int, calls: tuple[Call, ...]) -> str:
    if type(module) not in (nn.Linear, nn.Conv2d):
        return f"a {type(module).__name__}, of which others may read the weight"
    if owners > 1:
        return "its weight is that of another layer too"
    if any(len(found) for name, found in vars(module).items() if name.endswith("_hooks")):
        return "it carries hooks"
    return "" if calls else "the forward pass does not call it"


def _calls(model: nn.Module, example: Example, modules: Mapping[str, nn.Module]) -> dict[str, tuple[Call, ...]]:
    private = copied(model).eval()
    seen: dict[str, list[Call]] = {name: [] for name in modules}
    for name in modules:

        def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, calls: list[Call] = seen[name]) -> None:
            if isinstance(module, nn.Linear):
                calls.append(Call(output.numel() // output.shape[-1]))
            else:
                batch = len(output) if output.ndim == 4 else 1
                calls.append(Call(batch, tuple(inputs[0].shape[-2:]), tuple(output.shape[-2:])))

        private.get_submodule(name).register_forward_hook(note)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        example.map(torch.clone).call(private)
    return {name: tuple(calls) for name, calls in seen.items()}


def replaced(model: nn.Module, instead: Mapping[str, nn.Module]) -> nn.Module:
    """A copy of `model` with other modules in the place of those named, under all names that they have."""
    olds = {id(model.get_submodule(name)): module for name, module in instead.items()}
    return copied(model, olds)


def check_same(model: nn.Module, weights: Mapping[str, Tensor], changed: nn.Module, example: Example) -> float:
    """Compare a changed network with the old one under other weights, in eval mode, in float64 where they allow it.

    Args:
        model: the old one; it is not touched.
        weights: by name of a layer, the weight that it has to have for both to be one function.
        changed: the new one.
        example: what both run on.

    Returns:
        The largest difference, relative to the largest output.

    Raises:
        VerificationError: they differ.
        UnsupportedError: the changed one does not run.
    """
    try:
        wide = example.map(_double)
        first, second, threshold = (
            _answers(_with(copied(model).double(), weights), wide),
            copied(changed).double(),
            _SAME,
        )
    except Exception:  # a forward pass that insists on its types
        wide = example
        first, second, threshold = _answers(_with(copied(model), weights), wide), copied(changed), _NEARLY_SAME
    try:
        answers = _answers(second, wide)
    except Exception as error:
        raise _not_running(error) from error
    scale = max((float(x.abs().max()) for x in first if x.numel()), default=0.0) or 1.0
    difference = max(
        (float((x - y).abs().max()) / scale for x, y in zip(first, answers, strict=True) if x.numel()), default=0.0
    )
    if not difference <= threshold:
        raise VerificationError(
            f"the network with its layers replaced differs by {difference:.1e}, {threshold:.0e} is allowed. Nothing "
            "was handed over; please report this.",
            difference,
        )
    return difference


def check_runs(model: nn.Module, changed: nn.Module, example: Example) -> None:
    """Make sure that a changed network runs, and answers in the shapes of the old one.

    Raises:
        UnsupportedError: it does not.
    """
    wanted = [x.shape for x in _answers(copied(model), example)]
    try:
        found = [x.shape for x in _answers(copied(changed), example)]
    except Exception as error:
        raise _not_running(error) from error
    assert found == wanted


def _not_running(error: Exception) -> UnsupportedError:
    return UnsupportedError(
        f"the network does not run with its layers replaced ({type(error).__name__}: {error}). Something reads "
        "the weight of a layer by itself; name that layer in frozen=."
    )


def _with(model: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    with torch.no_grad():
        for name, weight in weights.items():
            model.get_submodule(name).weight.copy_(weight)  # type: ignore[operator]  # a layer
    return model


def _answers(model: nn.Module, example: Example) -> list[Tensor]:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        return [x for x in tensors_in(example.map(torch.clone).call(model.eval())) if x.is_floating_point()]


def _double(x: Tensor) -> Tensor:
    return x.double() if x.is_floating_point() else x
