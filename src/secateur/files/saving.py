"""A shrunk network and its plan in one safetensors file, and back again bit for bit. No pickle anywhere."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from secateur.apply.masking import is_masked
from secateur.apply.shrinking import shrink_
from secateur.core.copying import copied
from secateur.core.errors import CodecError, IncompatibleError, UnsupportedError
from secateur.core.groups import fingerprint, fingerprint_of
from secateur.core.plan import PruningPlan
from secateur.files.atomic import write_bytes, write_text
from secateur.files.codec import plan_from_json, plan_to_json
from secateur.files.container import pack, unpack
from secateur.files.reading import Node, read_bytes, read_text
from secateur.files.tensors import distinct, state

SCHEMA = "1"


def save(model: nn.Module, plan: PruningPlan, path: str | os.PathLike[str]) -> Path:
    """Write a shrunk network and its plan to one file.

    Any safetensors reader can open it: tensors have the names of the model's `state_dict`, tied ones stand there once.

    Args:
        model: what `shrink(.., plan)` returned, perhaps trained since.
        plan: the plan that it was shrunk by.
        path: the file, customarily `*.safetensors`; replaced as a whole or not at all.

    Returns:
        The path.

    Raises:
        UnsupportedError: the model is masked, or its state holds something else than tensors.
        IncompatibleError: the model does not have the widths of the plan.
    """
    if is_masked(model):
        raise UnsupportedError(
            "the model is masked: its tensors still have their full size. "
            "Shrink it first: save(shrink(model, plan), plan, path)."
        )
    check_widths(model, plan)
    tensors, aliases = distinct(state(model))
    metadata = {"format": "pt", "secateur": SCHEMA, "plan": plan_to_json(plan), "aliases": json.dumps(aliases)}
    return write_bytes(path, pack(tensors, metadata))


def load(path: str | os.PathLike[str], model: nn.Module) -> nn.Module:
    """Build the network that was saved.

    Args:
        path: a file written by `save`.
        model: a fresh dense network of the structure that was traced, with any weights; it is not touched.

    Returns:
        A copy of `model`, cut to the plan's widths and filled with the saved tensors, bit for bit, in their types;
        ties are kept. Mode and device are those of `model`.

    Raises:
        CodecError: the file is truncated, tampered with, or not one of ours.
        IncompatibleError: `model` has another structure.
    """
    tensors, aliases, plan = _read(path)
    return rebuilt(model, plan, tensors, aliases, repr(os.fspath(path)))


def rebuilt(
    model: nn.Module,
    plan: PruningPlan | None,
    tensors: Mapping[str, Tensor],
    aliases: Mapping[str, str],
    where: str,
) -> nn.Module:
    """A copy of `model`, cut as `plan` says and filled.

    Args:
        model: a fresh dense network; it is not touched.
        plan: how it is cut; None if it is not.
        tensors: what it is filled with, by name.
        aliases: further names, each with the first name of the tensor that it stands for.
        where: the file that they come from, for messages.

    Raises:
        CodecError: the plan does not describe the model that it names.
        IncompatibleError: `model` has another structure.
    """
    try:
        fresh = copied(model) if plan is None else _cut(copied(model), plan)
    except IncompatibleError:
        raise
    except (IndexError, KeyError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise CodecError(
            f"{where}: its plan does not describe the model that it names ({error}). Write the file again."
        ) from error
    _fill_(fresh, tensors, aliases, where)
    return fresh


def save_plan(plan: PruningPlan, path: str | os.PathLike[str]) -> Path:
    """Write a plan alone, as JSON; returns the path."""
    return write_text(path, plan_to_json(plan) + "\n")


def load_plan(path: str | os.PathLike[str]) -> PruningPlan:
    """The plan in a `.json` file written by `save_plan`, or in any other file written by `save`.

    Raises:
        CodecError: the file is truncated, tampered with, or not one of ours.
    """
    if Path(path).suffix.lower() == ".json":
        return plan_from_json(read_text(path))
    return _read(path)[2]


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str], PruningPlan]:
    where = repr(os.fspath(path))
    tensors, metadata = unpack(read_bytes(path), where)
    node = Node(metadata, where)
    if metadata.get("secateur") != SCHEMA:
        raise CodecError(
            f"{where} is of schema {metadata.get('secateur')!r}, this version reads {SCHEMA!r}. "
            "Read it with the version of secateur that wrote it."
        )
    fields = node.record("format", "secateur", "plan", "aliases")
    named = Node.parse(fields["aliases"].text(), "aliases").entries()
    aliases = {name: original.text() for name, original in named.items()}
    return tensors, aliases, plan_from_json(fields["plan"].text())


def check_widths(model: nn.Module, plan: PruningPlan) -> None:
    """Refuse now what `load` would have to refuse later."""
    widths = plan.graph.widths(plan.channels)
    shapes = {name: tuple(a.size(widths) for a in t.axes) for name, t in plan.left.tensors.items()}
    if fingerprint(model) == fingerprint_of(shapes.items()):
        return
    found = {n: tuple(t.shape) for n, t in [*model.named_parameters(), *model.named_buffers()]}
    name = next(n for n in [*shapes, *found] if found.get(n) != shapes.get(n))
    raise IncompatibleError(
        f"the model is not what this plan leaves: tensor {name!r} is {_shown(found.get(name))}, by the plan "
        f"{_shown(shapes.get(name))}. Save the model that shrink(.., plan) returned, with the same plan."
    )


def _cut(model: nn.Module, plan: PruningPlan) -> nn.Module:
    """Plans of single weights cut nothing; the zeros come with the tensors."""
    if plan.is_structured:
        return shrink_(model, plan)
    plan.check_fits(model)
    return model


def _fill_(model: nn.Module, tensors: Mapping[str, Tensor], aliases: Mapping[str, str], where: str) -> None:
    """Put the saved tensors in place, strictly: every name is filled once and nothing is left over."""
    own = state(model)
    _, tied = distinct(own)
    wrong = sorted(set(own) ^ {*tensors, *aliases}) or [n for n, original in aliases.items() if original not in tensors]
    wrong = wrong or [name for name in tensors if own[name].shape != tensors[name].shape]
    # A fresh model may lack ties that came about later, but one that has more would fill one tensor twice.
    wrong = wrong or [
        name for name, original in tied.items() if aliases.get(name, name) != aliases.get(original, original)
    ]
    if wrong:
        raise IncompatibleError(
            f"{where} and the model disagree about {', '.join(map(repr, wrong[:3]))}: name, shape or tie. "
            "Pass a fresh dense model made by the same code as the one that was saved."
        )
    with torch.no_grad():
        for name, value in tensors.items():
            # `empty_like` keeps device and memory format of the model, and nothing then refers to the file's memory.
            own[name].data = torch.empty_like(own[name], dtype=value.dtype).copy_(value)
        for name, original in aliases.items():
            own[name].data = own[original].data


def _shown(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else str(list(shape))
