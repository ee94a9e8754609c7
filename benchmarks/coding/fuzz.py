"""Mutated files: what is damaged must be refused, and what is forged must not crash, hang or eat memory.

Two kinds. A *damaged* file has bits flipped, an end cut off, pieces exchanged, repeated or put in: reading it must
raise `CodecError` (other tensors than the original's would be silence). A *forged* file was damaged before its
checksums were made, or claims something hostile in its header: it may hold other tensors, but nothing else than
`CodecError` may come out, and a file of a kilobyte may not ask for gigabytes.
"""

from __future__ import annotations

import hashlib
import resource
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from secateur.coding import container, pack, stream
from secateur.coding.codecs.range_ import available
from secateur.coding.packing import read
from secateur.coding.split import split
from secateur.core.errors import CodecError
from secateur.core.quantized import Quantized

Random = np.random.Generator


@dataclass
class Outcome:
    """What came of all mutations.

    Attributes:
        kinds: mutations by kind.
        refused: those that raised `CodecError`, by kind.
        read: forged files that were read as tensors, by kind.
        unchanged: damaged files that are the original, since a mutation may change nothing.
        silent: damaged files that were read as other tensors: `(seed, number)`.
        crashes: anything else than `CodecError`: `(seed, number, what)`.
        slowest: CPU seconds for the slowest file.
        seconds: for all.
        memory: bytes by which the peak memory of the process grew.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)
    unchanged: int = 0
    silent: list[tuple[int, int]] = field(default_factory=list)
    crashes: list[tuple[int, int, str]] = field(default_factory=list)
    slowest: float = 0.0
    seconds: float = 0.0
    memory: int = 0


def originals() -> list[bytes]:
    """Small files that have every form, type and codec in them."""
    random = np.random.default_rng(7)

    def few(shape: tuple[int, ...], keep: float, levels: list[float]) -> Tensor:
        values = np.where(random.random(shape) < keep, random.choice(levels, shape), 0)
        return torch.from_numpy(values.astype(np.float32))

    floats = torch.from_numpy(random.standard_normal((6, 9)).astype(np.float32))
    codes = torch.from_numpy(random.integers(-7, 8, (6, 9)).astype(np.int32))
    grid = Quantized(codes, scale=torch.linspace(0.1, 0.7, 6), zero=torch.zeros(6, dtype=torch.int32))
    tied = few((5, 6), 0.5, [1.0])
    cases: list[tuple[dict[str, Tensor], dict[str, Quantized]]] = [
        ({"fc1.weight": few((8, 12), 0.2, [-0.1, 0.1, 0.2]), "fc1.bias": few((8,), 0.6, [0.5])}, {}),
        ({"w": floats, "grid": floats.clone()}, {"grid": grid}),
        ({"s": torch.where(floats.abs() > 1, floats, 0.0), "n": torch.tensor(77), "e": torch.zeros(0, 4)}, {}),
        (
            {"b": torch.tensor([True, False] * 9), "h": floats.half(), "odd": torch.tensor([-0.0, float("nan"), 1.0])},
            {},
        ),
        ({"a": tied, "b": tied, "conv.weight": few((3, 2, 3, 3), 0.4, [-1.0, 0.5])}, {}),
        ({"big": few((40, 50), 0.02, [-0.1, 0.1])}, {}),
        ({"long": torch.from_numpy(random.standard_normal(400).astype(np.float32))}, {}),
    ]
    found = []
    with TemporaryDirectory() as folder:
        for tensors, quantized in cases:
            path = Path(folder) / "a.sct"
            pack(tensors, path, quantized=quantized)
            found.append(path.read_bytes())
    return found + [with_form(form, kind) for form in FORMS_BY_HAND for kind in FORMS_BY_HAND[form]]


#: Forms that small tensors do not take by themselves.
FORMS_BY_HAND: Mapping[str, tuple[str, ...]] = {
    "dense": ("fixed", "huffman", "range", "adaptive"),
    "relative": ("fixed", "huffman"),
    "golomb_rice": ("huffman",),
    "density": ("fixed",),
}


def with_form(form: str, codec: str) -> bytes:
    """A file whose tensor is written in a form and by a codec of our choice."""
    random = np.random.default_rng(3)
    values = np.where(random.random((9, 20)) < 0.3, random.choice([-1.0, 0.5, 2.0], (9, 20)), 0)
    tensor = torch.from_numpy(values.astype(np.float32))
    if not available():
        codec = "huffman"
    content = stream.forced(split(tensor), form, codec)
    entry = container.Entry("w", tensor.dtype, tuple(tensor.shape), len(content))
    return container.to_bytes(container.Header((entry,), ""), [content])


def fuzz(count: int, seed: int, *, progress: Callable[[int], None] = lambda _: None) -> Outcome:
    """Read `count` mutated files; equal seeds give equal files."""
    files = originals()
    wanted = [fingerprint(read(content, "original")[1]) for content in files]
    outcome = Outcome()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    for number in range(count):
        which, kind, content = mutation(files, seed, number)
        outcome.kinds[kind] += 1
        began = time.process_time()
        try:
            tensors = read(content, "mutated")[1]
            if kind.startswith("damaged"):
                same = content == files[which] or fingerprint(tensors) == wanted[which]
                outcome.unchanged += same
                outcome.silent += [] if same else [(seed, number)]
            else:
                outcome.read[kind] += 1
        except CodecError:
            outcome.refused[kind] += 1
        except BaseException as error:  # a panic of a compiled library is no Exception
            if isinstance(error, KeyboardInterrupt):
                raise
            outcome.crashes.append((seed, number, f"{kind}: {type(error).__name__}: {error}"))
        outcome.slowest = max(outcome.slowest, time.process_time() - began)
        if number % 1000 == 999:
            progress(number + 1)
    outcome.seconds = time.process_time() - start
    outcome.memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return outcome


def mutation(files: list[bytes], seed: int, number: int) -> tuple[int, str, bytes]:
    """The mutated file of a number: which original, what was done, and the bytes."""
    random = np.random.default_rng([seed, number])
    which = int(random.integers(len(files)))
    content = files[which]
    kind = list(_KINDS)[int(random.integers(len(_KINDS)))]
    return which, kind, _KINDS[kind](content, files, random)


def _flipped(content: bytes, _: list[bytes], random: Random) -> bytes:
    raw = bytearray(content)
    for _ in range(int(random.integers(1, 5))):
        raw[int(random.integers(len(raw)))] ^= 1 << int(random.integers(8))
    return bytes(raw)


def _cut(content: bytes, _: list[bytes], random: Random) -> bytes:
    return content[: int(random.integers(len(content)))]


def _spliced(content: bytes, files: list[bytes], random: Random) -> bytes:
    other = files[int(random.integers(len(files)))]
    a, b = sorted(random.integers(0, len(content) + 1, 2).tolist())
    c, d = sorted(random.integers(0, len(other) + 1, 2).tolist())
    return content[:a] + other[c:d] + content[b:]


def _random(content: bytes, _: list[bytes], random: Random) -> bytes:
    start = int(random.integers(len(content)))
    noise = random.bytes(int(random.integers(1, 64)))
    return content[:start] + noise + content[start + len(noise) * int(random.integers(2)) :]


def _forged(change: Callable[[bytes, list[bytes], Random], bytes]) -> Callable[[bytes, list[bytes], Random], bytes]:
    """A change to everything after magic and schema, and a seal that fits it."""

    def changed(content: bytes, files: list[bytes], random: Random) -> bytes:
        bodies = [one[4 : -container.SEAL] for one in files]
        return seal(content[:4] + change(content[4 : -container.SEAL], bodies, random))

    return changed


def seal(content: bytes) -> bytes:
    """`content` with a seal that fits."""
    return content + hashlib.sha256(content).digest()[: container.SEAL]


_HOSTILE = (0, 1, 2, 127, 128, 255, 2**16, 2**22, 2**24, 2**31 - 1, 2**31, 2**32, 2**39, 2**40, 2**63)


def _hostile_header(content: bytes, _: list[bytes], random: Random) -> bytes:
    """A well-formed header that claims other shapes, types, lengths or ties."""
    header, streams = container.from_bytes(content, "original")
    entries = list(header.entries)
    which = int(random.integers(len(entries)))
    entry = entries[which]
    number = _HOSTILE[int(random.integers(len(_HOSTILE)))]
    match int(random.integers(5)):
        case 0 if entry.shape:
            shape = list(entry.shape)
            shape[int(random.integers(len(shape)))] = number
            entry = replace(entry, shape=tuple(shape))
        case 1:
            entry = replace(entry, length=number)
        case 2:
            dtype = container.DTYPES[int(random.integers(len(container.DTYPES)))]
            entry = replace(entry, dtype=dtype)
        case 3:
            entry = replace(entry, shape=(number,) * int(random.integers(0, 15)))
        case _:
            entry = replace(entry, alias=entries[int(random.integers(len(entries)))].name)
    entries[which] = entry
    return container.to_bytes(container.Header(tuple(entries), header.plan), streams.values())


def _damaged_header(content: bytes, files: list[bytes], random: Random) -> bytes:
    """The plain header changed, then deflated and sealed as it should be."""
    header, streams = container.from_bytes(content, "original")
    plain = _flipped(container.header_to_bytes(header), files, random)
    if random.random() < 0.3:
        plain = _spliced(plain, [plain], random)
    deflated = container.deflated(plain)
    sizes = container.varint(len(deflated)) + container.varint(len(plain))
    return seal(content[:4] + sizes + deflated + b"".join(streams.values()))


def _forged_stream(content: bytes, _: list[bytes], random: Random) -> bytes:
    """One stream changed, all lengths and checksums right: what comes after the checks meets the damage."""
    header, streams = container.from_bytes(content, "original")
    entries, bodies = list(header.entries), dict(streams)
    name = list(bodies)[int(random.integers(len(bodies)))]
    plain = container.unsealed(bodies[name], name)
    if plain:
        change = (_flipped, _cut, _spliced, _random)[int(random.integers(4))]
        bodies[name] = container.sealed(change(plain, [plain], random))
    entries = [replace(e, length=len(bodies[e.name])) if e.name == name else e for e in entries]
    return container.to_bytes(container.Header(tuple(entries), header.plan), bodies.values())


_KINDS: Mapping[str, Callable[[bytes, list[bytes], Random], bytes]] = {
    "damaged: bits flipped": _flipped,
    "damaged: cut off": _cut,
    "damaged: spliced": _spliced,
    "damaged: noise": _random,
    "forged: bits flipped": _forged(_flipped),
    "forged: spliced": _forged(_spliced),
    "forged: a stream": _forged_stream,
    "forged: a hostile header": _hostile_header,
    "forged: a damaged header": _damaged_header,
}


def fingerprint(tensors: Mapping[str, Tensor]) -> int:
    """A number that says whether tensors are the same: names, types, shapes, bits."""
    total = 0
    for name, tensor in tensors.items():
        raw = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
        total = zlib.crc32(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode() + raw, total)
    return total
