"""The layers that are computed in integers, who follows whom, and changes that are kept only if nothing changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from secateur.apply.masking import is_masked, unmask_
from secateur.apply.verify import difference, outputs
from secateur.core.contracts import Batches
from secateur.core.copying import copied
from secateur.core.errors import MissingEvidenceError
from secateur.core.example import Example

#: Layers whose products integers can compute; the first dim of their weights counts outputs.
Layer = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear
#: Relative difference of outputs, in single precision, up to which two networks are the same.
SAME = 1e-4
#: Told the module's inputs and its output.
Look = Callable[[tuple[Any, ...], Any], None]


def layers_of(model: nn.Module) -> dict[str, Any]:
    """All such layers by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, Layer)}


def plain(model: nn.Module) -> nn.Module:
    """A copy in eval mode, with masks baked in as zeros."""
    student = copied(model)
    return (unmask_(student) if is_masked(student) else student).eval()


def first_inputs(batches: Batches) -> Example:
    """The inputs of the first batch.

    Raises:
        MissingEvidenceError: there are no batches.
    """
    for inputs, _ in batches:
        return Example.of(inputs)
    raise MissingEvidenceError("batches holds no batches. Pass a non-empty list of (inputs, target).")


@contextmanager
def watched(model: nn.Module, looks: dict[str, Look]) -> Iterator[None]:
    """Show inputs and output of some modules, by name, to a function each, right after they ran."""
    with ExitStack() as stack:
        for name, look in looks.items():
            hook = model.get_submodule(name).register_forward_hook(lambda _, args, out, look=look: look(args, out))
            stack.callback(hook.remove)
        yield


@torch.no_grad()
def followers(model: nn.Module, example: Example) -> list[tuple[str, str]]:
    """Pairs of childless modules of which the second is handed what the first returned, in order of execution."""
    made: dict[int, str] = {}
    alive: list[Any] = []  # an address is that of one tensor only as long as this lives
    pairs: list[tuple[str, str]] = []

    def look(name: str) -> Look:
        def note(args: tuple[Any, ...], out: Any) -> None:
            if args and isinstance(args[0], Tensor) and isinstance(out, Tensor):
                if id(args[0]) in made:
                    pairs.append((made[id(args[0])], name))
                alive.extend((args[0], out))
                made[id(out)] = name

        return note

    leaves = [name for name, module in model.named_modules() if name and not list(module.children())]
    with watched(model, {name: look(name) for name in leaves}):
        example.call(model)
    return list(dict.fromkeys(pairs))


def changed_where_it_holds_(
    model: nn.Module, example: Example, changes: Sequence[Callable[[], Callable[[], None]]]
) -> int:
    """Change `model` step by step, and take back each step after which its output differs.

    Args:
        model: in eval mode.
        example: what it is run on.
        changes: functions that change it and return a function that undoes that.

    Returns:
        How many changes stayed.
    """
    wanted = outputs(model, example)
    stayed = 0
    for change in changes:
        undo = change()
        if difference(wanted, outputs(model, example)) <= SAME:
            stayed += 1
        else:
            undo()
    return stayed
