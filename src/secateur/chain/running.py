"""`chain`: steps one after another, and what each of them contributed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from secateur.chain.base import Given, State, Step
from secateur.chain.order import check_order
from secateur.chain.pack import Pack
from secateur.coding import pack
from secateur.core.contracts import Batches, Loss, Progress, Quality
from secateur.core.report import Measurement
from secateur.evidence import cross_entropy
from secateur.measure import measure


@dataclass(frozen=True, slots=True)
class Contribution:
    """What the network was after one step.

    Attributes:
        step: the step in words; "dense" before the first.
        measured: what it costs and how good it is. Bytes are those of the file, or of what `pack` would write now.
        told: what the step had to say.
    """

    step: str
    measured: Measurement
    told: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chained:
    """What `chain` returns.

    Attributes:
        model: the network at the end, plain.
        path: the file that was written, if a step wrote one.
        contributions: one for the dense network, and one for each step.
    """

    model: nn.Module
    path: Path | None
    contributions: tuple[Contribution, ...]

    def __str__(self) -> str:
        """A table in plain text."""
        return "\n".join(" | ".join(row) for row in rows(self))

    def to_json(self) -> str:
        """Every figure, to be written to a file."""
        return json.dumps({"schema": 1, "steps": [asdict(one) for one in self.contributions]}, indent=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRun:
    """How a chain is carried out.

    Attributes:
        loss: `(output, target) -> scalar`.
        out: folder for files; it must exist.
        seed: for everything random.
        runtimes: where latency is measured after each step: "torch", "onnxruntime"; empty for none.
        progress: called as `(what, done, total)`.
    """

    loss: Loss = cross_entropy
    out: Path = Path("compressed")
    seed: int = 0
    runtimes: tuple[str, ...] = ("torch",)
    progress: Progress | None = None


def chain(
    model: nn.Module,
    steps: Sequence[Step],
    *,
    example_inputs: Any,
    data: Batches | None = None,
    quality: Quality | None = None,
    run: ChainRun | None = None,
) -> Chained:
    """Prune, factorize, rebuild, train, quantize, code: steps one after another, each measured.

        chain(model, [Prune(recipe="han2015"), Quantize(quantizer="kmeans(bits=5)", epochs=1), Pack()], ...)

    is Deep Compression.

    Args:
        model: a trained network; it is left exactly as it was.
        steps: in an order that makes sense.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments.
        data: `(inputs, target)` batches that can be walked through more than once.
        quality: `model -> figure(s)`, higher is better, measured after each step.
        run: loss, folder, seed, runtimes, progress.

    Returns:
        The network, the file, and what each step contributed.

    Raises:
        IncompatibleError: the order of steps makes no sense; nothing was done.
        SecateurError: whatever a step raises.
    """
    check_order(steps)
    how = run or ChainRun()
    given = Given(
        dense=model,
        example_inputs=example_inputs,
        data=data,
        quality=quality,
        loss=how.loss,
        out=how.out,
        seed=how.seed,
        progress=how.progress,
    )
    packs = any(isinstance(step, Pack) for step in steps)
    state = State(model=model)
    contributions = [_measured("dense", state, given, how, packs=packs)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(how.seed)
        for step in steps:
            state = step.apply(state, given)
            contributions.append(_measured(str(step), state, given, how, packs=packs))
    return Chained(model=state.plain(), path=state.path, contributions=tuple(contributions))


def _measured(step: str, state: State, given: Given, how: ChainRun, *, packs: bool) -> Contribution:
    plain = state.plain()
    quality = None if state.quality is not None else given.quality
    found = measure(plain, given.example_inputs, quality=quality, runtimes=() if state.latency else how.runtimes)
    size = found.bytes
    if state.path is not None:
        size = state.bytes
    elif packs:
        with tempfile.TemporaryDirectory() as folder:
            size = pack(plain, Path(folder) / "now.sct", quantized=state.codes()).bytes
    more = {"quality": state.quality} if state.quality is not None else {}
    changed = {**{n: getattr(found, n) for n in found.__dataclass_fields__}, "bytes": size, **more}
    return Contribution(step, Measurement(**changed), state.told)


def rows(found: Chained) -> list[list[str]]:
    """A heading and a row for each step, as words."""
    names = list(found.contributions[0].measured.quality)
    table = [["step", "MACs", "parameters", "non-zero", "bytes", "smaller", *names, "ms"]]
    first = found.contributions[0].measured
    for one in found.contributions:
        now = one.measured
        table.append(
            [
                one.step,
                f"{now.macs:,}",
                f"{now.params:,}",
                f"{now.nonzeros:,}",
                f"{now.bytes:,}",
                f"{4 * first.params / now.bytes:.1f} x",
                *(f"{now.quality[name]:.4f}" for name in names),
                ", ".join(f"{latency.p50:.3f}" for latency in now.latency),
            ]
        )
    return table
