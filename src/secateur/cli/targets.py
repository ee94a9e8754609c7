"""Reading what a user writes for a network: `FILE.py:FUNCTION`, `zoo:NAME`, `torchvision:NAME`, `timm:NAME`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from secateur.bench.zoo import zoo
from secateur.core.errors import IncompatibleError, UnknownNameError


@dataclass(frozen=True, slots=True)
class Target:
    """A network to work on.

    Attributes:
        model: the network.
        example_inputs: what it is run on.
        file: the user's Python file, as a module, where there is one.
    """

    model: nn.Module
    example_inputs: Any
    file: ModuleType | None = None


def read_target(text: str, inputs: str | None = None) -> Target:
    """The network that `text` names.

    Args:
        text: `FILE.py:FUNCTION`, `zoo:NAME`, `torchvision:NAME` or `timm:NAME`.
        inputs: shape of the example input, `1x3x224x224`; overrides what the file or library offers.

    Raises:
        UnknownNameError: no such file, function or model.
        IncompatibleError: the function does not return a network, or there are no example inputs.
    """
    source, colon, name = text.rpartition(":")
    if not colon or not source or not name:
        raise UnknownNameError(
            f"cannot read the network {text!r}. Write FILE.py:FUNCTION, zoo:NAME, torchvision:NAME or timm:NAME."
        )
    shape = _shape(inputs) if inputs else None
    match source:
        case "zoo":
            entry = zoo(name)
            return Target(entry.make(), torch.randn(shape) if shape else entry.example())
        case "torchvision" | "timm":
            return Target(_library(source, name), torch.randn(shape or (1, 3, 224, 224)))
        case _:
            return _own(source, name, shape)


def load_file(path: str) -> ModuleType:
    """Run a user's Python file and return it as a module.

    Raises:
        UnknownNameError: there is no such file.
    """
    file = Path(path)
    if file.suffix != ".py" or not file.is_file():
        raise UnknownNameError(f"there is no Python file {path!r}. Write FILE.py:FUNCTION.")
    spec = importlib.util.spec_from_file_location(f"_user_{file.stem}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickles in the file look themselves up here
    sys.path.insert(0, str(file.resolve().parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


def _own(source: str, name: str, shape: tuple[int, ...] | None) -> Target:
    module = load_file(source)
    made = function(module, name)
    if made is None:
        known = [n for n, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == module.__name__]
        raise UnknownNameError(f"{source} has no function {name!r}. It has: {', '.join(known) or 'none'}.")
    model = made()
    if not isinstance(model, nn.Module):
        raise IncompatibleError(f"{source}:{name} returned a {type(model).__name__}. It must return a torch.nn.Module.")
    offers = function(module, "example_inputs")
    if shape is None and offers is None:
        raise IncompatibleError(
            f"{source} offers no example_inputs(). Add a function example_inputs() that returns a tensor, a tuple of "
            "arguments or a dict of keyword arguments, or pass --inputs 1x3x224x224."
        )
    return Target(model, torch.randn(shape) if shape else offers() if offers else None, module)


def function(module: ModuleType | None, name: str) -> Callable[..., Any] | None:
    """A function of the user's file, or None where the file does not offer it."""
    found = getattr(module, name, None)
    return found if callable(found) else None


def _library(source: str, name: str) -> nn.Module:
    try:
        library = importlib.import_module("torchvision.models" if source == "torchvision" else source)
    except (ImportError, RuntimeError) as error:
        raise UnknownNameError(
            f"{source} cannot be imported here ({error}). Install it, or use zoo: or FILE.py:FUNCTION."
        ) from error
    try:
        model = library.get_model(name, weights=None) if source == "torchvision" else library.create_model(name)
    except (ValueError, RuntimeError) as error:
        raise UnknownNameError(f"{source} has no model {name!r} ({error}).") from error
    assert isinstance(model, nn.Module)
    return model


def _shape(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(part) for part in text.lower().split("x"))
        if min(sizes) < 1:
            raise ValueError
        return sizes
    except ValueError:
        raise IncompatibleError(f"cannot read the shape {text!r}. Write sizes joined by x: 1x3x224x224.") from None
