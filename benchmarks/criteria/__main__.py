"""`make bench-criteria`: every criterion and repair beside its oracle, what it costs on two networks, and at scale."""

from __future__ import annotations

import argparse
import pkgutil
import signal
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

import torch
from torch import nn

import secateur
from benchmarks.criteria import images, oracles, scale
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
#: What there is to measure, and the title of its section.
TITLES = {
    "methods": "Errors and costs",
    "layer": "One large layer",
    "images": "Evidence over 1,024 pictures",
}
_NONE = "—"
Make = Callable[[], tuple[nn.Module, ChannelGraph, list[Batch]]]
#: Seconds of CPU time for one method on one network.
LIMIT = 30
_SECONDS = f"""\
Errors are the largest relative differences from the oracle, which shares no code with the method. Seconds are CPU time
on one thread for evidence and scores (for repairs: the repair): 4 batches of 64 for LeNet-5, 2 batches of 8 pictures of
224 px for MobileNetV2. What takes more than {LIMIT} s is stopped."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-criteria ARGS=…", description=__doc__)
    parser.add_argument("--steps", nargs="+", default=list(TITLES), choices=TITLES)
    parser.add_argument("--only", nargs="+", default=(), help="rows to measure; the others stay as they are")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    for step in wanted.steps:
        had = sections(PAGE.read_text())
        made = {"layer": lambda *_: scale.table(), "images": images.table, "methods": methods}[step]
        PAGE.write_text(page({**had, TITLES[step]: made(wanted.only, had.get(TITLES[step], ""))}))


def sections(text: str) -> dict[str, str]:
    """Title and text of each section of the page."""
    parts = [part.split("\n", 1) for part in f"\n{text}".split("\n## ")[1:]]
    return {title: body.strip() for title, body in parts}


def page(found: Mapping[str, str]) -> str:
    """The sections that there are, in order."""
    parts = [f"## {title}\n\n{found[title]}\n" for title in TITLES.values() if title in found]
    return "\n".join([f"# Methods beside their oracles\n\nWritten by {__doc__}\n", *parts])


def methods(only: Sequence[str] = (), had: str = "") -> str:
    """Every criterion and repair: oracle, error, seconds."""
    names = [one.name for one in pkgutil.iter_modules(oracles.__path__) if not one.name.startswith("_")]
    kinds = {"criterion": CRITERIA, "repair": REPAIRS}
    missing = [name for registry in kinds.values() for name in registry if name not in names]
    if missing:
        raise SystemExit(f"no oracle for {', '.join(missing)}; write benchmarks/criteria/oracles/<name>.py")
    before = _rows(had) if only else {}
    rows = []
    for kind, registry in kinds.items():
        for name, plugin in registry.items():
            if name in only or name not in before:
                before[name] = [name, kind, *checked(name), *costs(plugin.examples()[0], (_lenet, _mobilenet))]
                print(" | ".join(before[name]), flush=True)
            rows.append(before[name])
    known = {name for registry in kinds.values() for name in registry}
    rows += [[name, "evidence or allocation", *checked(name), _NONE, _NONE] for name in names if name not in known]
    head = ["method", "kind", "oracle", "largest error", "LeNet-5, s", "MobileNetV2, s"]
    table = [head, ["---"] * 3 + ["---:"] * 3, *rows]
    return f"{_SECONDS}\n\n" + "\n".join(f"| {' | '.join(cells)} |" for cells in table)


def _rows(text: str) -> dict[str, list[str]]:
    """The rows of a table that was written before."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return {cells[0]: cells for cells in (line[2:-2].split(" | ") for line in lines[2:])}


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
    signal.signal(signal.SIGPROF, _late)
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
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
        signal.setitimer(signal.ITIMER_PROF, 0)


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
