"""What a cut must leave as it was: gradients, flags, ties; and the model that was passed in, to the last bit."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.models.case import Built, Inputs, call
from benchmarks.models.strong import tensors


def unsettle_(model: nn.Module) -> nn.Module:
    """Training mode, but the first child in eval mode; every fifth parameter frozen: flags that a cut must not lose."""
    model.train()
    for child in list(model.children())[:1]:
        child.eval()
    for parameter in list(model.parameters())[::5]:
        parameter.requires_grad_(False)
    return model


def portrait(model: nn.Module) -> dict[str, Any]:
    """Everything about a model that a bystander could have changed: bits of all tensors, gradients, modes, hooks."""
    named = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    seen: dict[str, Any] = {name: (_digest(t), t.requires_grad, t.grad is None) for name, t in named}
    for name, module in model.named_modules(remove_duplicate=False):
        hooks = sum(len(v) for k, v in vars(module).items() if k.endswith("hooks") and isinstance(v, Mapping))
        plain = {k: v for k, v in vars(module).items() if isinstance(v, int | float | str | None)}
        seen[f"module {name}"] = (type(module), hooks, plain)
    return seen


def faults(built: Built, small: nn.Module) -> dict[str, str]:
    """What a smaller network lost, in words, by what was looked at; an empty text is a pass."""
    return {
        "flags": _first_difference(_flags(built.model), _flags(small)),
        "ties": _first_difference(_ties(built.model), _ties(small)),
        "backward": _backward(built, small),
    }


def _flags(model: nn.Module) -> dict[str, bool]:
    found = {f"{name}.training": m.training for name, m in model.named_modules(remove_duplicate=False)}
    return found | {
        f"{name}.requires_grad": p.requires_grad for name, p in model.named_parameters(remove_duplicate=False)
    }


def _ties(model: nn.Module) -> dict[str, str]:
    """Every name of a parameter, with the first name of the same parameter."""
    first: dict[int, str] = {}
    return {name: first.setdefault(id(p), name) for name, p in model.named_parameters(remove_duplicate=False)}


def _first_difference(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    for name in {**wanted, **found}:
        if wanted.get(name) != found.get(name):
            return f"{name} is {found.get(name)}, was {wanted.get(name)}"
    return ""


def _backward(built: Built, small: nn.Module) -> str:
    """Whether gradients reach the parameters of the shrunk network that they reach in the dense one."""
    dense, inputs = copy.deepcopy(built.model), built.draw(0)
    try:
        wanted = _reached(dense, inputs)
    except Exception:  # it does not train on these inputs; in eval mode then
        dense, small = copy.deepcopy(built.model).eval(), small.eval()
        wanted = _reached(dense, inputs)
    try:
        return _first_difference(wanted, _reached(small, inputs))
    except Exception as error:  # the finding
        return f"{type(error).__name__}: {error}"[:300]


def _reached(model: nn.Module, inputs: Inputs) -> dict[str, bool]:
    torch.manual_seed(0)
    answers = [x for x in tensors(call(model, inputs)) if x.requires_grad]
    if answers:
        sum((x.square().mean() for x in answers), torch.zeros(())).backward()
    return {name: p.grad is not None for name, p in model.named_parameters()}


def _digest(tensor: Tensor) -> str:
    plain = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(plain.numpy()).hexdigest()
