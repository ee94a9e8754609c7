"""Cuts MobileNetV2 with its ImageNet weights to 70 % of its MACs and recovers it on real photos, without labels."""

import copy
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import photos
import torch
import typer
from agreement import logits
from batchnorm import correct_, replace_
from check_dense import dense as load_dense
from choosing import Choice, choose
from distil import affordable, distil_
from least_squares import refit_
from results import Stage, show, stage, write
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

import secateur
from secateur import ChannelGraph, PruningPlan
from secateur.core.contracts import Progress as Report
from secateur.measure import environment, measure_all

_OUT = Path("out/mobilenet_v2")
_CROPS = 256  # Crops that batch norms and projections are mended on.


def main(
    minutes: Annotated[float, typer.Option(help="Time for distilling one network; the control takes it again.")] = 3.0,
    steps: Annotated[int, typer.Option(help="Steps of distilling instead of minutes: the same on every machine.")] = 0,
    keep: Annotated[float, typer.Option(help="Share of the multiply-accumulates (MACs) that stays.")] = 0.7,
    multiple: Annotated[int, typer.Option(help="Widths are multiples of this; 8 or 16 suit processors.")] = 8,
    criterion: Annotated[Choice, typer.Option(help="What says which channels matter.")] = "greedy",
    seed: Annotated[int, typer.Option(help="For crops and random channels.")] = 0,
    control: Annotated[bool, typer.Option(help="Also cut random channels, and recover them in the same way.")] = True,
    threads: Annotated[int, typer.Option(help="Threads for everything but latency, which is that of one.")] = 2,
    out: Annotated[Path, typer.Option(help="Folder for the networks (safetensors, ONNX) and results.json.")] = _OUT,
) -> None:
    """Cut MobileNetV2 to 70 % of its MACs, and recover it on real photos without any label.

    Needs the weights and photos that `python fetch.py` obtains. The way:

    1. trace: which channels must go together;
    2. plan: Taylor scores of all hidden channels, on random crops, say how many each block keeps within the budget;
       greedy least squares say which;
    3. shrink, verified: the smaller network computes what the masked one computes;
    4. re-estimate the batch-norm statistics, corrected by the dense network's own bias on the same photos;
    5. refit each block's projection by least squares;
    6. distil: match the dense network's blocks and logits on more crops.

    Steps 2 to 6 see calibration photos only. Every figure is of photos held out, which share no scene with them.
    Agreement with the dense network is what is measured: the photos are too few and too different for ImageNet top-1.
    """
    start = time.perf_counter()
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    console = Console()
    console.width = max(console.width, 120)  # The tables need it.
    split = photos.split(photos.photos())
    if not split.calibration:
        raise SystemExit("there are no photos: run fetch.py first")
    dense = load_dense().to(memory_format=torch.channels_last)
    images = photos.batch(split.held_out).contiguous(memory_format=torch.channels_last)
    judge = Judge(logits(dense, images), images, split.held_out, console)
    crops = photos.random_crops(split.calibration, _CROPS, torch.Generator().manual_seed(seed))
    crops = crops.contiguous(memory_format=torch.channels_last)
    console.print(f"{len(split.calibration)} photos to calibrate on, {len(split.held_out)} held out")
    with bar(console) as report:
        graph = secateur.trace(dense, images[:1])
        names: list[Choice] = [criterion, "random"] if control and criterion != "random" else [criterion]
        settings = {"keep": keep, "multiple": multiple, "seed": seed}
        plans = {n: choose(dense, graph, split.calibration, crops, n, progress=report, **settings) for n in names}
        stages, small = [judge.stage("dense", dense), judge.replaced(dense, crops)], {}
        for name, plan in plans.items():
            small[name] = secateur.shrink(dense, plan)
            stages += mend_(small[name], dense, plan, crops, judge, name)
            steps = steps or affordable(small[name], dense, split.calibration, minutes)
            told = partial(report, f"distil {name}")
            distil_(small[name], dense, split.calibration, steps, seed=seed, progress=told)
            stages.append(judge.stage(f"{name}: + distilled ({steps} steps)", small[name]))
    networks = {"dense": dense, **small}
    networks = {n: copy.deepcopy(m).to(memory_format=torch.contiguous_format) for n, m in networks.items()}
    example = images[:1].contiguous()
    sizes = measure_all(networks, example, runtimes=("onnxruntime", "torch"), threads=1)
    ship(networks, plans, example, out, console)
    show(stages, sizes, console)
    settings |= {"criterion": criterion, "steps": steps, "crops": _CROPS, "seconds": round(time.perf_counter() - start)}
    write(out / "results.json", stages, sizes, settings | {"environment": environment()})
    console.print(widths(graph, plans[criterion]))
    console.print(f"{settings['seconds']} s in all; written to {out}")


class Judge:
    """Compares networks with the dense one on the held-out photos.

    Args:
        wanted: The dense network's logits.
        images: The held-out photos, as tensors.
        held_out: The held-out photos.
        console: Where each figure is told as soon as it is known.
    """

    def __init__(self, wanted: Tensor, images: Tensor, held_out: Sequence[photos.Photo], console: Console) -> None:
        self.wanted, self.images, self.held_out, self.console = wanted, images, held_out, console

    def stage(self, name: str, network: nn.Module) -> Stage:
        """Measures a network."""
        found = stage(name, logits(network, self.images), self.wanted, self.held_out)
        self.console.print(f"{name}: agreement {found.everything.top1:.3f}, logit error {found.everything.error:.3f}")
        return found

    def replaced(self, network: nn.Module, crops: Tensor, name: str = "dense") -> Stage:
        """Measures a copy of a network whose batch-norm statistics were simply replaced by those of the crops."""
        copied = copy.deepcopy(network)
        replace_(copied, crops)
        return self.stage(f"{name}: batch norm replaced", copied)


def mend_(
    pruned: nn.Module, dense: nn.Module, plan: PruningPlan, crops: Tensor, judge: Judge, name: str
) -> list[Stage]:
    """Mends a pruned network without training, and measures it after each step.

    Args:
        pruned: The shrunk network; changed in place.
        dense: The network that it was cut from.
        plan: What was cut.
        crops: Crops of calibration photos.
        judge: Measures.
        name: What to call the network.

    Returns:
        The stages.
    """
    stages = [judge.stage(f"{name}: pruned", pruned), judge.replaced(pruned, crops, name)]
    corrected = copy.deepcopy(pruned)
    correct_(corrected, dense, plan, crops)
    stages.append(judge.stage(f"{name}: batch norm corrected", corrected))
    refit_(pruned, dense, plan, crops)
    return [*stages, judge.stage(f"{name}: + projections refitted", pruned)]


def ship(
    networks: dict[str, nn.Module], plans: dict[str, PruningPlan], example: Tensor, out: Path, console: Console
) -> None:
    """Saves the networks, reads them back, and exports them to ONNX."""
    for name, network in networks.items():
        if name in plans:
            path = secateur.save(network, plans[name], out / f"{name}.safetensors")
            again = secateur.load(path, load_dense())
            with torch.inference_mode():
                assert torch.equal(again(example), network(example)), "a saved network must answer as before"
        seen = secateur.export(network, example, out / f"{name}.onnx")
        console.print(f"{name}.onnx: ONNX Runtime and PyTorch differ by {seen:.1e}")


def widths(graph: ChannelGraph, plan: PruningPlan) -> str:
    """Which hidden widths a plan leaves, in words."""
    cut = [f"{plan.width(name)}/{group.units}" for name, group in graph.cuttable.items() if ".conv.0.0" in name]
    return f"hidden widths: {', '.join(cut)}"


@contextmanager
def bar(console: Console) -> Iterator[Report]:
    """A progress bar for each kind of work."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    tasks = {}
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as progress:

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done)

        yield report


if __name__ == "__main__":
    typer.run(main)
