"""`make bench-criteria`: every criterion and repair beside its oracle, and what it costs on two networks.

Errors are the largest relative differences from the oracle, which shares no code with the method. Seconds are CPU time
on one thread for evidence and scores (for repairs: the repair): 4 batches of 64 for LeNet-5, 2 batches of 8 pictures of
224 px for MobileNetV2. What takes more than 30 s on the clock is stopped.
"""

from __future__ import annotations

import pkgutil
import signal
import textwrap
import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

import torch
from torch import nn

import secateur
from benchmarks.criteria import oracles
from secateur.bench.zoo.lenet import lenet5
from secateur.bench.zoo.mobilenet_v2 import MobileNetV2
from secateur.core.contracts import Batch, Criterion, Known, ModuleCriterion, Repair, UnitCriterion
from secateur.core.errors import SecateurError
from secateur.core.groups import ChannelGraph
from secateur.core.rng import generator
from secateur.criteria import CRITERIA, Random
from secateur.granularity import Channel, Layer, Weight
from secateur.repair import REPAIRS

PAGE = Path(__file__).parents[2] / "docs" / "oracles.md"
_NONE = "—"
Make = Callable[[], tuple[nn.Module, ChannelGraph, list[Batch]]]
#: Seconds on the clock for one method on one network.
LIMIT = 30


def main() -> None:
    torch.set_num_threads(1)
    networks = (_lenet, _mobilenet)
    names = [one.name for one in pkgutil.iter_modules(oracles.__path__) if not one.name.startswith("_")]
    kinds = {"criterion": CRITERIA, "repair": REPAIRS}
    missing = [name for registry in kinds.values() for name in registry if name not in names]
    if missing:
        raise SystemExit(f"no oracle for {', '.join(missing)}; write benchmarks/criteria/oracles/<name>.py")
    rows = []
    for kind, registry in kinds.items():
        for name, plugin in registry.items():
            if name in names:
                rows.append([name, kind, *checked(name), *costs(plugin.examples()[0], networks)])
                print(" | ".join(rows[-1]), flush=True)
    known = {name for registry in kinds.values() for name in registry}
    rows += [
        [name, "evidence or allocation", *checked(name), *[_NONE] * len(networks)]
        for name in names
        if name not in known
    ]
    head = ["method", "kind", "oracle", "largest error", "LeNet-5, s", "MobileNetV2, s"]
    table = "\n".join(
        f"| {' | '.join(cells)} |" for cells in [head, ["---"] * 3 + ["---:"] * (1 + len(networks)), *rows]
    )
    PAGE.write_text(f"# Methods beside their oracles\n\nWritten by {__doc__}\n{table}\n")


def checked(name: str) -> list[str]:
    """What the oracle is, and the largest error against it."""
    oracle = import_module(f"benchmarks.criteria.oracles.{name}")
    told = str(oracle.__doc__).splitlines()[0].removeprefix(f"{name}: ").rstrip(".")
    return [told.replace("|", "\\|"), f"{oracle.error():.1e}"]


def costs(method: Criterion | Repair, networks: Sequence[Make]) -> list[str]:
    """Seconds on each network, or why there are none."""
    return [_seconds(method, *make()) for make in networks]


def _seconds(method: Criterion | Repair, model: nn.Module, graph: ChannelGraph, data: list[Batch]) -> str:
    work = _scoring if isinstance(method, Criterion) else _repairing
    signal.signal(signal.SIGALRM, _late)
    signal.alarm(LIMIT)
    try:
        step = work(method, model, graph, data)  # type: ignore[operator]
        start = time.process_time()
        step()
        return f"{time.process_time() - start:.2f}"
    except TimeoutError:
        return f"over {LIMIT}"
    except SecateurError as error:
        return f"refused: {textwrap.shorten(str(error), 60, placeholder=' …')}"
    finally:
        signal.alarm(0)


def _late(*_: object) -> None:
    raise TimeoutError


def _scoring(method: Criterion, model: nn.Module, graph: ChannelGraph, data: list[Batch]) -> Callable[[], object]:
    unit = (
        Layer() if isinstance(method, ModuleCriterion) else Channel() if isinstance(method, UnitCriterion) else Weight()
    )

    def step() -> object:
        evidence = secateur.collect(model, data, method.needs, graph=graph)
        return secateur.score(graph, method, evidence, granularity=unit)

    return step


def _repairing(method: Repair, model: nn.Module, graph: ChannelGraph, data: list[Batch]) -> Callable[[], object]:
    scores = secateur.score(graph, Random(), secateur.collect(model, None, Random.needs, graph=graph))
    plan = secateur.plan(graph, scores, secateur.Budget(0.5, "units"))
    student = secateur.mask(model, plan)
    evidence = secateur.collect(model, data, method.needs, graph=graph)
    return lambda: method.repair_(student, model, plan, Known(evidence, data))


@cache
def _lenet() -> tuple[nn.Module, ChannelGraph, list[Batch]]:
    torch.manual_seed(0)
    return _case(lenet5(), (1, 28, 28), 64, 4, 10)


@cache
def _mobilenet() -> tuple[nn.Module, ChannelGraph, list[Batch]]:
    torch.manual_seed(0)
    return _case(MobileNetV2(), (3, 224, 224), 8, 2, 1000)


def _case(
    model: nn.Module, shape: tuple[int, ...], size: int, count: int, classes: int
) -> tuple[nn.Module, ChannelGraph, list[Batch]]:
    rng = generator(0, "data")
    data = [
        (torch.randn(size, *shape, generator=rng), torch.randint(classes, (size,), generator=rng)) for _ in range(count)
    ]
    return model.eval(), secateur.trace(model, data[0][0][:1], depth=True), data


if __name__ == "__main__":
    main()
