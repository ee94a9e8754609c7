"""`make bench-coding`: sizes and speed of `.sct` files beside zstd and xz, and mutated files; writes docs/coding.md."""

from __future__ import annotations

import argparse
import lzma
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import zstandard
from torch import Tensor

import secateur
from benchmarks.coding.fuzz import Outcome, fuzz
from benchmarks.coding.networks import lenets, mobilenets
from secateur.coding import CODECS
from secateur.coding.codecs.base import entropy
from secateur.coding.split import split
from secateur.coding.stream import forced
from secateur.core.quantized import Quantized

PAGE = Path(__file__).parents[2] / "docs" / "coding.md"
_MB = 1e6

INTRODUCTION = """# Sizes, speed and robustness of `.sct` files

Written by `make bench-coding`, on {cpu}, one thread. Files hold everything: values, positions, codebooks, biases,
names, shapes, checksums; `secateur.unpack` gives back every bit. Seconds are CPU time of one run.

## Pruned LeNets

Made tensors, not trained ones: weights of random strength by row and column, pruned by size over the whole network,
survivors at four levels ([networks.py](../benchmarks/coding/networks.py)). *Relative + Huffman* is Deep Compression's
form (steps with filler zeros of the best width, Huffman codes for steps and values), headers left out. zstd -19 and
xz -9e are given the same float32 tensors. The ratio is float32 over `.sct`.
"""

LARGE = """## Tensors of the size of MobileNetV2

3.5 million weights, made too. zstd and xz are given the float32 tensors, or where values are int8, these and their
scales as bytes. MB/s are float32 megabytes of weights per CPU second.
"""

CODECS_ = """## Codecs

A million symbols from a geometric distribution (p = 0.3); a fiftieth of them for the adaptive coder, which is for short
streams. Overhead is over the empirical entropy.
"""

FUZZ = """## Mutated files

{count:,} files made from fifteen small ones that hold every form, codec and type between them (`--mutations {count}
--seed {seed}`; equal seeds make equal files). A damaged file must raise `CodecError`. A forged one carries checksums
that fit its damage, so that everything behind them is met; it may be read as other tensors, but nothing else may
happen.
"""


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mutations", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    mutated = fuzzed(fuzz(asked.mutations, asked.seed, progress=_told))  # first: its peak of memory would hide
    parts = [
        INTRODUCTION.format(cpu=_processor()),
        table(
            ("network", "float32", ".sct", "ratio", "relative + Huffman", "zstd -19", "xz", "pack, s", "unpack, s"),
            small(),
        ),
        LARGE,
        table(
            ("network", "float32", ".sct", "zstd -19", "xz", "pack, MB/s", "unpack, MB/s", "zstd, MB/s", "xz, MB/s"),
            large(),
        ),
        CODECS_,
        table(("codec", "bits per symbol", "overhead", "encode, million/s", "decode, million/s"), codecs()),
        FUZZ.format(count=asked.mutations, seed=asked.seed),
        mutated,
    ]
    PAGE.write_text("\n".join(parts))


def small() -> list[tuple[str, ...]]:
    """Rows of pruned LeNets."""
    rows = []
    for name, state in lenets().items():
        size, spent, back = packed(state, {})
        raw = raw_bytes(state, {})
        (zstd, _, _), (xz, _, _) = peers(raw)
        paper = sum(len(forced(split(t), "relative", "huffman")) for t in state.values() if bool((t != 0).any()))
        ratio = f"**{len(raw) / size:.0f}**"
        rows.append(
            (
                name,
                f"{len(raw):,}",
                f"**{size:,}**",
                ratio,
                f"{paper:,}",
                f"{zstd:,}",
                f"{xz:,}",
                f"{spent:.2f}",
                f"{back:.2f}",
            )
        )
        print(*rows[-1], flush=True)
    return rows


def large() -> list[tuple[str, ...]]:
    """Rows of MobileNetV2."""
    rows = []
    for name, (state, quantized) in mobilenets().items():
        size, spent, back = packed(state, quantized)
        dense = sum(4 * t.numel() for t in state.values())
        (zstd, zstd_in, zstd_out), (xz, xz_in, xz_out) = peers(raw_bytes(state, quantized))
        speed = [dense / _MB / seconds for seconds in (spent, back, zstd_in, zstd_out, xz_in, xz_out)]
        pairs = [f"{a:.1f} / {b:.0f}" for a, b in (speed[2:4], speed[4:6])]
        rows.append(
            (name, f"{dense:,}", f"**{size:,}**", f"{zstd:,}", f"{xz:,}", f"{speed[0]:.1f}", f"{speed[1]:.1f}", *pairs)
        )
        print(*rows[-1], flush=True)
    return rows


def codecs() -> list[tuple[str, ...]]:
    """Rows of codecs."""
    rows = []
    for kind in CODECS.values():
        for one in kind.examples():
            count = 20_000 if kind is CODECS["adaptive"] else 10**6
            symbols = torch.from_numpy(np.random.default_rng(0).geometric(0.3, count) - 1)
            content, spent = timed(lambda one=one, symbols=symbols: one.encode(symbols))
            found, back = timed(lambda one=one, content=content, count=count: one.decode(content, count))
            assert torch.equal(found, symbols)
            over = 8 * len(content) / entropy(symbols.numpy()) - 1
            rows.append(
                (
                    f"`{one!r}`",
                    f"{8 * len(content) / count:.3f}",
                    f"{over:.2%}",
                    f"{count / spent / 1e6:.2f}",
                    f"{count / back / 1e6:.2f}",
                )
            )
    return rows


def fuzzed(found: Outcome) -> str:
    """The table of mutations, and what it comes to."""
    rows = [(k, f"{found.kinds[k]:,}", f"{found.refused[k]:,}", f"{found.read[k]:,}") for k in sorted(found.kinds)]
    count = sum(found.kinds.values())
    text = [
        table(("mutation", "files", "refused", "read as other tensors"), rows),
        f"Crashes: **{len(found.crashes)}**. Damaged files read as other tensors: **{len(found.silent)}**; "
        f"{found.unchanged} mutations happened to change nothing.",
        f"\nThe slowest file took {found.slowest:.2f} s of CPU time, all "
        f"{found.seconds:.0f} s ({count / found.seconds:,.0f} per CPU second); the peak memory of the process grew by "
        f"{found.memory / _MB:.0f} MB.\n",
    ]
    text += [f"- seed {seed}, number {number}: {what}" for seed, number, what in found.crashes[:20]]
    text += [f"- seed {seed}, number {number}: silently other tensors" for seed, number in found.silent[:20]]
    return "\n".join(text)


def packed(state: Mapping[str, Tensor], quantized: Mapping[str, Quantized]) -> tuple[int, float, float]:
    """Bytes, and seconds there and back; every bit is compared."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.sct"
        report, spent = timed(lambda: secateur.pack(state, path, quantized=quantized))
        found, back = timed(lambda: secateur.unpack(path, entries=2**24))
    for name, tensor in state.items():
        wanted = quantized[name].values() if name in quantized else tensor
        assert torch.equal(found[name].view(torch.int32), wanted.contiguous().view(torch.int32)), name
    return report.bytes, spent, back


def raw_bytes(state: Mapping[str, Tensor], quantized: Mapping[str, Quantized]) -> bytes:
    """What general compressors are given."""
    parts = []
    for name, tensor in state.items():
        if name in quantized:
            scale = quantized[name].scale
            assert scale is not None
            parts += [quantized[name].codes.to(torch.int8).numpy().tobytes(), scale.numpy().tobytes()]
        else:
            parts.append(tensor.contiguous().numpy().tobytes())
    return b"".join(parts)


def peers(raw: bytes) -> list[tuple[int, float, float]]:
    """Bytes, and seconds there and back, of zstd and xz."""
    out = []
    pairs: list[tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = [
        (zstandard.ZstdCompressor(level=19).compress, zstandard.ZstdDecompressor().decompress),
        (lambda x: lzma.compress(x, preset=9 | lzma.PRESET_EXTREME), lzma.decompress),
    ]
    for there, back in pairs:
        content, spent = timed(lambda there=there: there(raw))
        found, again = timed(lambda back=back, content=content: back(content))
        assert found == raw
        out.append((len(content), spent, again))
    return out


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """What `run` returns, and the CPU seconds that it took: other work on the machine does not count."""
    start = time.process_time()
    found = run()
    return found, time.process_time() - start


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table: the first column to the left, the others to the right."""
    lines = [head, ("---", *["---:"] * (len(head) - 1)), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else "an unnamed processor"


def _told(done: int) -> None:
    if done % 20_000 == 0:
        print(done, flush=True)


if __name__ == "__main__":
    main()
