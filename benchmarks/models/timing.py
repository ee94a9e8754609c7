"""CPU seconds of one model on one side, on one thread, in a process of its own.

python -m benchmarks.models.timing secateur resnet50
python -m benchmarks.models.timing peer resnet50
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from benchmarks.models import limits
from benchmarks.models.shim import torchvision

MODELS = ("resnet50", "densenet121", "densenet201", "vit_b_16")
SIDES = ("secateur", "peer")
_FORWARDS = 5
T = TypeVar("T")

Part = dict[str, Any]


def spent(step: Callable[[], T]) -> tuple[float, T]:
    """CPU seconds of a step, and what it gave."""
    start = time.process_time()
    found = step()
    return time.process_time() - start, found


def secateur_side(model: nn.Module, example: Tensor) -> Iterator[Part]:
    """Trace, plan by the magnitude of weights, cut; and what verification costs, beside a forward pass."""
    import secateur  # noqa: PLC0415  the peer's environment has none
    from secateur.criteria import Magnitude  # noqa: PLC0415

    def planned() -> secateur.PruningPlan:
        evidence = secateur.collect(model, None, Magnitude.needs, graph=graph)
        return secateur.plan(graph, secateur.score(graph, Magnitude(p=2), evidence), secateur.Budget(0.5, "units"))

    trace_s, graph = spent(lambda: secateur.trace(model, example))
    plan_s, plan = spent(planned)
    shrink_s, _ = spent(lambda: secateur.shrink(model, plan, verify=False))
    yield {"trace_s": trace_s, "plan_s": plan_s, "shrink_s": shrink_s}
    verify_s, _ = spent(lambda: secateur.verify(model, plan))
    yield {"verify_s": verify_s, "forward_s": forward(model, example)}


def peer_side(model: nn.Module, example: Tensor) -> Iterator[Part]:
    """Dependency graph, pruner (which makes the graph once more) and step, by the magnitude of weights."""
    import torch_pruning  # noqa: PLC0415  only the peer's environment has it

    classifier = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == 1000]
    graph_s, _ = spent(lambda: torch_pruning.DependencyGraph().build_dependency(model, example_inputs=example))
    importance = torch_pruning.importance.GroupMagnitudeImportance(p=2)
    pruner_s, pruner = spent(
        lambda: torch_pruning.pruner.BasePruner(
            model, example, importance=importance, pruning_ratio=0.5, ignored_layers=classifier
        )
    )
    step_s, _ = spent(pruner.step)
    yield {"graph_s": graph_s, "pruner_s": pruner_s, "step_s": step_s}


def forward(model: nn.Module, example: Tensor) -> float:
    """CPU seconds of one forward pass in eval mode, the least of five."""
    model.eval()
    with torch.no_grad():
        return min(spent(lambda: model(example))[0] for _ in range(_FORWARDS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("name", choices=MODELS)
    wanted = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, example = torchvision().models.get_model(wanted.name, weights=None).eval(), torch.randn(1, 3, 224, 224)
    forward(model, example)  # what only the first pass costs is nobody's
    side = secateur_side if wanted.side == "secateur" else peer_side
    try:
        for part in side(model, example):
            limits.say(part)
    except Exception as error:
        limits.say({"status": "failed", "failure": f"{type(error).__name__}: {error}"[:300]})
    else:
        limits.say({"status": "timed"})


if __name__ == "__main__":
    main()
