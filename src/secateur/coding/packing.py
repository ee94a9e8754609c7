"""Networks to `.sct` files and back, bit for bit, and what every tensor costs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

import torch
from torch import Tensor, nn

from secateur.apply.masking import is_masked
from secateur.coding.allowance import Allowance
from secateur.coding.codecs.base import damaged
from secateur.coding.container import Entry, Header, from_bytes, sealed, to_bytes, unsealed
from secateur.coding.dtypes import number_of
from secateur.coding.live import Known
from secateur.coding.split import Split, nonzero, outline, split, split_grid
from secateur.coding.stream import Stream, chosen, streams_of, tensor_of
from secateur.core.errors import CodecError, IncompatibleError, UnsupportedError
from secateur.core.plan import PruningPlan
from secateur.core.quantized import Quantized
from secateur.files.atomic import write_bytes
from secateur.files.codec import plan_from_json, plan_to_json
from secateur.files.reading import read_bytes
from secateur.files.saving import check_widths, rebuilt
from secateur.files.tensors import distinct, state


@dataclass(frozen=True, slots=True)
class PackedTensor:
    """What one tensor costs in a file.

    Attributes:
        name: its name.
        shape: its shape.
        dtype: its type, `float32`.
        nonzeros: entries that are not zero; minus zero is one of them.
        form: how zeros are told from the rest: `mixed`, `golomb_rice`, `density`, `relative`, `dense` or `stored`.
        codec: what wrote the values.
        bytes: of its stream.
        dense: bytes of its entries, each in its own type.
        ideal: bytes that an ideal coder would spend under the model that was used; headers and codebooks come on top.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    nonzeros: int
    form: str
    codec: str
    bytes: int
    dense: int
    ideal: float


@dataclass(frozen=True, slots=True)
class Packed:
    """What a file holds, and what that costs.

    Attributes:
        path: the file.
        bytes: its size.
        header: bytes that belong to no tensor: names, shapes, plan, seal.
        dense: bytes of all tensors, each entry in its own type.
        tensors: one by one.
        planned: whether it holds the plan of a shrunk network.
    """

    path: Path
    bytes: int
    header: int
    dense: int
    tensors: tuple[PackedTensor, ...]
    planned: bool


def pack(
    model: nn.Module | Mapping[str, Tensor],
    path: str | os.PathLike[str],
    *,
    quantized: Mapping[str, Quantized] | None = None,
    plan: PruningPlan | None = None,
) -> Packed:
    """Write a network as small as it goes without losing a bit.

    Each tensor takes the form and the codec that need the fewest bytes. Of those, `range` and `density` need the
    constriction library to write and to read (`pip install 'secateur[coding]'`): without it they are not tried, files
    come out a little larger, and a file that holds them is refused by `unpack`, which names the library.

    The adaptive coder is slow to read, so that a large network has it only where it saves most: reading takes some
    seconds longer for it, not more.

    Few distinct values are found without help; an even grid of many steps is not, so hand over what the quantizer made.

    Args:
        model: a network, or its state: tensors by name.
        path: the file, customarily `*.sct`; replaced as a whole or not at all.
        quantized: by name, the tensors that are written as what they were quantized to, in place of the model's values.
        plan: the plan of a network that was shrunk by it; `unpack` then rebuilds it from the dense one.

    Returns:
        What each tensor costs.

    Raises:
        UnsupportedError: the model is masked, or a tensor is of a type that cannot be written.
        IncompatibleError: a quantized tensor has no counterpart of its shape, or the model is not what the plan leaves.
    """
    if isinstance(model, nn.Module) and is_masked(model):
        raise UnsupportedError("the model is masked: its tensors still have their full size. Shrink it first.")
    if plan is not None:
        if not isinstance(model, nn.Module):
            raise IncompatibleError("a plan belongs to a network, not to a bare state. Pass the network itself.")
        check_widths(model, plan)
    given = state(model) if isinstance(model, nn.Module) else dict(model)
    tensors, aliases = distinct(given)
    quantized = quantized or {}
    _check_quantized(quantized, tensors)
    streams = dict(zip(tensors, chosen(_pairs(tensors, quantized)), strict=True))
    entries, contents, rows = {}, {}, {}
    for name, tensor in tensors.items():
        found = streams[name]
        contents[name] = sealed(found.content)
        entries[name] = Entry(name, tensor.dtype, tuple(tensor.shape), len(contents[name]))
        value = quantized[name].values().to(tensor.dtype) if name in quantized else tensor
        rows[name] = _row(entries[name], value, found.form, found.codec, found.ideal)
    everything = [
        replace(entries[aliases[name]], name=name, length=0, alias=aliases[name]) if name in aliases else entries[name]
        for name in sorted(given, key=lambda name: name in aliases)
    ]
    text = plan_to_json(plan) if plan is not None else ""
    header = Header(tuple(everything), text)
    content = to_bytes(header, [contents[entry.name] for entry in everything if not entry.alias])
    return _report(write_bytes(path, content), len(content), header, tuple(rows.values()))


@overload
def unpack(path: str | os.PathLike[str], model: None = None, *, entries: int | None = None) -> dict[str, Tensor]: ...


@overload
def unpack(path: str | os.PathLike[str], model: nn.Module, *, entries: int | None = None) -> nn.Module: ...


def unpack(
    path: str | os.PathLike[str], model: nn.Module | None = None, *, entries: int | None = None
) -> dict[str, Tensor] | nn.Module:
    """Read what `pack` wrote.

    Args:
        path: the file.
        model: a network to be filled; it is not touched, a copy is. For a file with a plan: the dense one that was
            traced, with any weights, which is cut to the plan's widths first.
        entries: how many entries the file's tensors may have together. By default 2^22 and 4096 for each byte of the
            file, which no small hostile file can turn into gigabytes; raise it for a file that you trust.

    Returns:
        Tensors by name (tied ones are the same object), or the network.

    Raises:
        CodecError: the file is truncated, tampered with, not one of ours, or claims too much.
        UnsupportedError: it needs the constriction library, which is not installed.
        IncompatibleError: `model` has another structure.
    """
    where = repr(os.fspath(path))
    header, tensors = read(read_bytes(path), where, entries)
    aliases = {entry.name: entry.alias for entry in header.entries if entry.alias}
    if model is None:
        return {e.name: tensors[e.alias or e.name] for e in header.entries}
    plan = plan_from_json(header.plan) if header.plan else None
    return rebuilt(model, plan, tensors, aliases, where)


def read(content: bytes, where: str, entries: int | None = None) -> tuple[Header, dict[str, Tensor]]:
    """Header and tensors of a file that is in memory already; as `unpack`."""
    header, streams = from_bytes(content, where)
    allowance = Allowance.of(len(content), entries)
    return header, {entry.name: tensor for entry, tensor, _, _ in _decoded(header, streams, allowance)}


def inspect(path: str | os.PathLike[str], *, entries: int | None = None) -> Packed:
    """What a file holds and what each tensor costs; everything is decoded, and so checked.

    Args:
        path: the file.
        entries: as in `unpack`.

    Raises:
        CodecError: the file is truncated, tampered with, not one of ours, or claims too much.
    """
    content = read_bytes(path)
    header, streams = from_bytes(content, repr(os.fspath(path)))
    rows = tuple(
        _row(entry, tensor, form, codec, float("nan"))
        for entry, tensor, form, codec in _decoded(header, streams, Allowance.of(len(content), entries))
    )
    return _report(Path(path), len(content), header, rows)


def _pairs(tensors: Mapping[str, Tensor], quantized: Mapping[str, Quantized]) -> list[tuple[Stream, Stream]]:
    """For each tensor the shortest stream and the shortest quick one; each knows the masks of those before."""
    pairs, known = [], Known()
    for name, tensor in tensors.items():
        number_of(tensor.dtype, name)
        parts = _split(tensor, quantized.get(name))
        pairs.append(streams_of(parts, known))
        known = known.then(tuple(tensor.shape), parts.mask)
    return pairs


def _split(tensor: Tensor, found: Quantized | None) -> Split:
    if found is None:
        return split(tensor)
    if found.scale is None or tensor.dtype != torch.float32:
        return split(found.values().to(tensor.dtype))
    return split_grid(found, tuple(tensor.shape))


def _decoded(
    header: Header, streams: Mapping[str, bytes], allowance: Allowance
) -> Iterator[tuple[Entry, Tensor, str, str]]:
    """One tensor after another."""
    known = Known()
    for entry in header.entries:
        if entry.alias:
            continue
        allowance.spend_entries(max(entry.entries, *entry.shape, 1), entry.name)
        try:
            tensor, form, codec = tensor_of(
                unsealed(streams[entry.name], entry.name), entry.dtype, entry.shape, allowance, known
            )
        except CodecError as error:
            raise CodecError(f"tensor {entry.name!r}: {error}") from error
        except (MemoryError, OverflowError) as error:
            raise damaged(f"tensor {entry.name!r} cannot be as large as it claims") from error
        if len(entry.shape) > 1:
            known = known.then(entry.shape, nonzero(tensor).reshape(outline(entry.shape)))
        yield entry, tensor, form, codec


def _row(entry: Entry, value: Tensor, form: str, codec: str, ideal: float) -> PackedTensor:
    kind = str(entry.dtype).removeprefix("torch.")
    nonzeros = int(nonzero(value).sum())
    dense = entry.entries * entry.dtype.itemsize
    return PackedTensor(entry.name, entry.shape, kind, nonzeros, form, codec, entry.length, dense, ideal)


def _check_quantized(quantized: Mapping[str, Quantized], tensors: Mapping[str, Tensor]) -> None:
    wrong = [n for n, q in quantized.items() if n not in tensors or tensors[n].shape != q.codes.shape]
    if wrong:
        raise IncompatibleError(
            f"quantized tensors {', '.join(map(repr, wrong[:3]))} have no counterpart of their shape in the network. "
            f"Allowed names: {', '.join(tensors)}; tied tensors go by their first name."
        )


def _report(path: Path, size: int, header: Header, rows: tuple[PackedTensor, ...]) -> Packed:
    dense = sum(row.dense for row in rows)
    return Packed(path, size, size - sum(row.bytes for row in rows), dense, rows, bool(header.plan))
