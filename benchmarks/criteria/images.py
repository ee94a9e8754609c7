"""Evidence about MobileNetV2 over 1,024 pictures: one pass for each kind of quantity, seconds and memory.

python -m benchmarks.criteria.images
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context

import torch

from secateur.bench.zoo.mobilenet_v2 import MobileNetV2
from secateur.core.contracts import Batch, Collector
from secateur.core.rng import generator
from secateur.evidence import (
    BlockCosine,
    ExampleGradient,
    FeatureTaylor,
    FisherDiagonal,
    GateGradient,
    InputAbsolute,
    InputGram,
    InputMean,
    InputNorm,
    InputZeros,
    MeanGradient,
    PatchMean,
    PooledInput,
    SquaredGradient,
    collect,
)
from secateur.graph.trace import trace

BATCH = 16
COUNT = 1024
#: What is collected together.
KINDS: dict[str, tuple[type[Collector], ...]] = {
    "inputs of layers": (InputMean, InputAbsolute, InputZeros, InputNorm, PatchMean, PooledInput, BlockCosine),
    "second moments": (InputGram,),
    "gradients of batches": (MeanGradient, SquaredGradient, GateGradient),
    "gradients by maps": (FeatureTaylor,),
    "gradients of examples": (FisherDiagonal, ExampleGradient),
}


@dataclass(frozen=True, slots=True)
class Pictures:
    """Random pictures of 224 px and classes, made when they are asked for: they take no memory beside the batch."""

    count: int

    def __len__(self) -> int:
        return len(range(0, self.count, BATCH))

    def __iter__(self) -> Iterator[Batch]:
        rng = generator(0, "pictures")
        for start in range(0, self.count, BATCH):
            size = min(BATCH, self.count - start)
            yield torch.randn(size, 3, 224, 224, generator=rng), torch.randint(1000, (size,), generator=rng)


@dataclass(slots=True)
class Watch:
    """Progress, and the most memory that the process has had so far, in GiB, after each batch."""

    what: str
    peaks: list[float] = field(default_factory=list)

    def __call__(self, what: str, done: int, total: int) -> None:
        """Note the peak, and tell now and then."""
        self.peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
        if done % 16 == 0 or done == total:
            print(f"{self.what}: {done} of {total} batches, {self.peaks[-1]:.2f} GiB", flush=True)


def row(kind: str) -> str:
    """One row of the table, in a process of its own, so that its peak of memory is its own."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(measured, (kind, COUNT))


def measured(kind: str, count: int) -> str:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, data, watch = MobileNetV2().eval(), Pictures(count), Watch(kind)
    graph = trace(model, next(iter(data))[0][:1], depth=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    start = time.process_time()
    found = collect(model, data, KINDS[kind], graph=graph, progress=watch)
    seconds = time.process_time() - start
    held = sum(x.numel() * x.element_size() for by_name in found.values.values() for x in by_name.values()) / 2**20
    names = ", ".join(f"`{need.__name__}`" for need in KINDS[kind])
    quarter, end = watch.peaks[len(watch.peaks) // 4 - 1], watch.peaks[-1]
    return (
        f"| {kind}: {names} | {len(watch.peaks)} | {seconds:.0f} | {held:.0f} | "
        f"{before:.2f} | {quarter:.2f} | {end:.2f} |"
    )


def table(only: Sequence[str] = (), before: str = "") -> str:
    """The section of the page; rows of kinds that are not asked for stay as they were `before`."""
    head = (
        f"MobileNetV2, {COUNT:,} random pictures of 224 px in batches of {BATCH}; every row is one walk through the "
        "data, in a process of its own. Seconds are CPU time on one thread; memory is the most that the process has "
        "had, before the walk, after a quarter of it, and at its end.\n\n"
        "| what is collected together | batches | seconds | evidence, MiB | before, GiB | a quarter, GiB | end, GiB |\n"
        "|---|--:|--:|--:|--:|--:|--:|"
    )
    had = {kind: line for line in before.splitlines() for kind in KINDS if line.startswith(f"| {kind}: ")}
    stays = {kind: line for kind, line in had.items() if only and kind not in only}
    return "\n".join([head, *(stays.get(kind) or row(kind) for kind in KINDS)])


if __name__ == "__main__":
    print(table())
