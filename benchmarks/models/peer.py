"""One model through Torch-Pruning, in a process and an environment of its own, as its documentation shows it.

    python -m benchmarks.models.peer torchvision resnet18

Half of the channels, uniform, chosen at random, and nothing said about the model but which layers make its outputs. The
result counts as equal if it runs forward and backward, and if its answers are those of the original with the channels
that went silenced. Which ones went is read off tagged tensors: every entry of every tensor holds its own number while
the peer cuts, so that what is left names its place in the original.
"""

from __future__ import annotations

import argparse
import copy
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.models import limits, strong
from benchmarks.models.case import Built, Inputs, build, call
from benchmarks.models.faithful import faults
from benchmarks.models.zoos import find

Part = dict[str, Any]


class LiveNorm(nn.Module):
    """The cut norm on the channels that stayed, zero on the others: what a norm of the silenced original should do."""

    def __init__(self, cut: nn.Module, kept: Tensor, size: int) -> None:
        super().__init__()
        self.cut, self.kept, self.size = cut, kept, size

    def forward(self, x: Tensor) -> Tensor:
        """`(.., channels)` or `(B, channels, ..)` to the same shape."""
        dim = x.ndim - 1 if x.shape[-1] == self.size else 1
        return torch.zeros_like(x).index_copy(dim, self.kept, self.cut(x.index_select(dim, self.kept)))


def check(zoo: str, name: str) -> Iterator[Part]:
    """Everything about one model, part by part.

    Yields:
        Parts of one record; `status` is `equal`, `differs`, `runs` (it could not be compared), `raises` or
        `nothing to cut`.
    """
    yield {"stage": "build"}
    built = build(find(zoo, name))
    before = sum(p.numel() for p in built.model.parameters())
    yield {"params": before, "stage": "cut"}
    original = built.model.train()  # as it came: parameters that are frozen would not be found at all
    cut, _ = halve(copy.deepcopy(original), built.draw(0))
    left = sum(p.numel() for p in cut.parameters()) / before
    yield {"kept": left, "stage": "run"}
    with torch.no_grad():
        call(cut.eval(), built.draw(0))
    lost = faults(Built(original, built.draw, ""), cut.train())
    yield {"keeps": lost, "stage": "compare"}
    if left == 1:
        yield {"status": "nothing to cut"}
    elif lost["backward"]:
        yield {"status": "raises", "failure": {"stage": "backward", "error": lost["backward"]}}
    else:
        yield compare(built)


def halve(model: nn.Module, inputs: Inputs, *, tag: bool = False) -> tuple[nn.Module, dict[str, Tensor]]:
    """Let the peer take half of the channels away, in place.

    Args:
        model: the model.
        inputs: what it is traced on.
        tag: number all entries of all tensors before the cut.

    Returns:
        The model, and what every tensor held before the cut, by name.
    """
    import torch_pruning  # noqa: PLC0415  only the peer's environment has it

    layers = makers_of_outputs(model, inputs)
    torch.manual_seed(0)
    pruner = torch_pruning.pruner.BasePruner(
        model,
        inputs if isinstance(inputs, Tensor) else dict(inputs),
        importance=torch_pruning.importance.RandomImportance(),
        pruning_ratio=0.5,
        ignored_layers=layers,
    )
    held = number_(model) if tag else {}
    pruner.step()
    return model, held


def makers_of_outputs(model: nn.Module, inputs: Inputs) -> list[nn.Module]:
    """The layers with parameters whose results the model returns; if there are none, the last layer that ran."""
    made: list[tuple[nn.Module, Tensor]] = []

    def note(module: nn.Module, _: Any, output: Any) -> None:
        made.extend((module, x) for x in strong.tensors(output))

    layers = [m for m in model.modules() if list(m.parameters()) and not list(m.children())]
    handles = [m.register_forward_hook(note) for m in layers]
    modes = {m: m.training for m in model.modules()}
    try:
        with torch.no_grad():
            results = {x.data_ptr() for x in strong.tensors(call(model.eval(), inputs))}
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    makers = [module for module, x in made if x.data_ptr() in results]
    return list(dict.fromkeys(makers or [module for module, _ in made[-1:]]))


def number_(model: nn.Module) -> dict[str, Tensor]:
    """Give every entry of every floating-point tensor its own number, in place; returns what was there, by name."""
    held: dict[str, Tensor] = {}
    for name, tensor in named(model).items():
        held[name] = tensor.detach().clone()
    with torch.no_grad():
        for tensor in named(model).values():
            tensor.copy_(torch.arange(tensor.numel(), dtype=tensor.dtype).view(tensor.shape))
    return held


def named(model: nn.Module) -> dict[str, Tensor]:
    """Floating-point parameters and buffers under all their names."""
    every = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    return {name: tensor for name, tensor in every if tensor.is_floating_point()}


def compare(built: Built) -> Part:
    """The cut network beside the original with the same channels silenced, in float64 on strong random weights."""
    filled = strong.filled(lambda: copy.deepcopy(built.model), built.draw(1), seed=0)
    if filled is None or not filled.double:
        return {"status": "runs", "why": "it does not run in float64"}
    inputs = strong.doubled(built.draw(2))
    try:
        cut, held = halve(copy.deepcopy(filled.model), inputs, tag=True)
        entries = {name: tensor.detach().long() for name, tensor in named(cut).items()}
        with torch.no_grad():
            for name, tensor in named(cut).items():
                tensor.copy_(held[name].flatten()[entries[name]])
        twin = silenced(copy.deepcopy(filled.model), cut, entries)
        wanted = strong.answers(twin.eval(), inputs, double=True)
    except Exception as error:  # what it does to tagged tensors, or what our twin cannot do
        return {"status": "runs", "why": describe(error)}
    try:
        found = strong.answers(cut.eval(), inputs, double=True)
    except Exception as error:
        return {"status": "raises", "failure": {"stage": "compare", "error": describe(error)}}
    # Features that come along with the answer may have become narrower; the answer itself may not.
    pairs = [(x, y) for x, y in zip(wanted, found, strict=False) if x.shape == y.shape or x is wanted[0]]
    seen = strong.gap([x for x, _ in pairs], [y for _, y in pairs])
    return {"status": "equal" if seen <= filled.limit else "differs", "difference": seen}


def silenced(model: nn.Module, cut: nn.Module, entries: Mapping[str, Tensor]) -> nn.Module:
    """`model` with every entry at zero that `cut` no longer has, and norms over the channels that it still has."""
    tensors, norms = named(model), {}
    for name, kept in entries.items():
        alive = torch.zeros(tensors[name].numel(), dtype=torch.bool)
        alive[kept.flatten()] = True
        with torch.no_grad():
            tensors[name].mul_(alive.view(tensors[name].shape))
        owner, _, leaf = name.rpartition(".")
        kind = type(model.get_submodule(owner)).__name__
        if leaf == "weight" and kept.ndim == 1 and not alive.all() and re.search(r"(?<!Batch)(?<!Instance)Norm", kind):
            norms[owner] = LiveNorm(cut.get_submodule(owner), kept, alive.numel())
    for path, norm in norms.items():
        owner, _, leaf = path.rpartition(".")
        setattr(model.get_submodule(owner), leaf, norm)
    return model


def describe(error: BaseException) -> str:
    """Class and message of an exception, on one line of at most 300 characters."""
    return re.sub(r"\s+", " ", f"{type(error).__name__}: {error}")[:300]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("zoo")
    parser.add_argument("name")
    wanted = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    stage = "start"
    try:
        for part in check(wanted.zoo, wanted.name):
            stage = part.get("stage", stage)
            limits.say(part)
    except Exception as error:  # the finding of this process, whatever it is
        status = "failed" if stage in ("start", "build") else "raises"
        limits.say({"status": status, "failure": {"stage": stage, "error": describe(error)}})
    limits.say({"cpu_s": time.process_time(), "gigabytes": limits.peak_gigabytes()})


if __name__ == "__main__":
    main()
