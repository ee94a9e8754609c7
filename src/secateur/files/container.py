"""A safetensors file with a seal: the header is written in one way only, and a SHA-256 covers everything.

Layout (that of safetensors): eight bytes, the length of the header, little-endian; the header, JSON, padded with spaces
to a multiple of eight; the bytes of all tensors. The safetensors library writes its metadata in random order, which
would make equal networks differ on disk; so the header is put together here, in a fixed order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from secateur.core.errors import CodecError, UnsupportedError

_LENGTH = 8


def pack(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A sealed file.

    Args:
        tensors: by name, none of them sharing memory.
        metadata: strings by name; `sha256` is added.

    Returns:
        The content of the file; equal arguments give equal bytes.

    Raises:
        UnsupportedError: a tensor is of a type that safetensors cannot hold.
    """
    directory, body = _split(serialise(tensors))
    sealed = {**metadata, "sha256": _seal(directory, metadata, body)}
    header = _header(directory, sealed)
    return len(header).to_bytes(_LENGTH, "little") + header + body


def unpack(content: bytes, where: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and metadata of a sealed file.

    Args:
        content: what `pack` gave.
        where: name of the file, for messages.

    Raises:
        CodecError: a single byte is missing, too many or different, or the file is not one of ours.
    """
    try:
        directory, body = _split(content)
        metadata = directory.pop("__metadata__", {})
        seal = metadata.get("sha256")
    except (ValueError, RecursionError, AttributeError) as error:
        raise _damaged(where, "it is not a safetensors file") from error
    if not isinstance(seal, str):
        raise CodecError(
            f"{where} is a safetensors file, but not one of ours: it carries no plan. Write it with secateur's save()."
        )
    unsealed = {name: value for name, value in metadata.items() if name != "sha256"}
    # The header is compared byte by byte, because JSON has many spellings for one meaning and the seal sees only one.
    same = content[_LENGTH : len(content) - len(body)] == _header(directory, metadata)
    if not same or _seal(directory, unsealed, body) != seal:
        raise _damaged(where, "its SHA-256 does not fit its content")
    try:
        return safetensors.torch.load(content), unsealed
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise _damaged(where, f"its tensors cannot be read ({error})") from error


def serialise(tensors: Mapping[str, Tensor]) -> bytes:
    """`tensors` as a plain safetensors file.

    Raises:
        UnsupportedError: a tensor is of a type that safetensors cannot hold.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        return bytes(safetensors.torch.save(plain))
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        kinds = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in plain.values()})
        raise UnsupportedError(
            f"safetensors cannot hold these tensors ({error}); their types are {', '.join(kinds)}. "
            "Convert the model to a common type, for instance model.float()."
        ) from error


def _split(content: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(content[:_LENGTH], "little")
    if not 2 <= length <= len(content) - _LENGTH:
        raise ValueError(length)
    directory = json.loads(content[_LENGTH : _LENGTH + length].decode())
    if not isinstance(directory, dict):
        raise ValueError(directory)
    return directory, content[_LENGTH + length :]


def _header(directory: Mapping[str, Any], metadata: Mapping[str, Any]) -> bytes:
    text = json.dumps({"__metadata__": metadata, **directory}, separators=(",", ":"), ensure_ascii=True).encode()
    return text + b" " * (-len(text) % _LENGTH)


def _seal(directory: Mapping[str, Any], metadata: Mapping[str, Any], body: bytes) -> str:
    """SHA-256 over names, types, shapes and places of all tensors, all metadata, and all bytes."""
    digest = hashlib.sha256(json.dumps([directory, metadata], sort_keys=True).encode())
    digest.update(body)
    return digest.hexdigest()


def _damaged(where: str, why: str) -> CodecError:
    return CodecError(f"{where} is damaged: {why}. Nothing was loaded; copy or write the file again.")
