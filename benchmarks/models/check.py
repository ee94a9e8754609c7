"""One model through Secateur, in a process of its own: prints one line of JSON for everything that it finds out.

python -m benchmarks.models.check torchvision resnet18 --seeds 3
"""

from __future__ import annotations

import argparse
import copy
import gc
import re
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

import secateur
from benchmarks.models import limits, strong
from benchmarks.models.case import Built, Inputs, build
from benchmarks.models.faithful import faults, portrait, unsettle_
from benchmarks.models.plans import heads, least, plans, uniform
from benchmarks.models.zoos import find
from secateur.core.errors import IncompatibleError, VerificationError
from secateur.core.groups import Kind

#: Of larger models there is no second comparison and no backward pass: copies in float64 would not fit beside others.
LARGEST = 180_000_000

Part = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Subject:
    """A model that was traced.

    Attributes:
        built: the model and its inputs.
        graph: its channel graph.
        strong: the same model with numbers that hide nothing, and nothing dropped at random; None where it gives no
            finite answers.
        trains: whether its answers in training mode can be compared.
    """

    built: Built
    graph: secateur.ChannelGraph
    strong: strong.Strong | None
    trains: bool


def check(zoo: str, name: str, seeds: int) -> Iterator[Part]:
    """Everything about one model, part by part, so that what is known survives a limit of time or memory.

    Args:
        zoo: name of the zoo.
        name: name of the model there.
        seeds: number of plans with random widths.

    Yields:
        Parts of one record; `stage` names what comes next.
    """
    yield {"stage": "build"}
    built = build(find(zoo, name))
    params = sum(p.numel() for p in built.model.parameters())
    large = params > LARGEST
    yield {"input": built.note, "params": params, "large": large}
    unsettle_(built.model)
    before = portrait(built.model)
    yield {"stage": "trace"}
    start = time.process_time()
    graph = secateur.trace(built.model, built.draw(0))
    yield {"trace_s": time.process_time() - start, **structure(graph), "stage": "fill"}
    filled = None if large else strong.filled(lambda: copy.deepcopy(built.model), built.draw(1), seed=0)
    # What verification can compare in training mode, before everything is switched off that drops at random.
    yield {"training": "too large" if large else "nothing" if filled is None else training(filled, built)}
    if filled is not None:
        strong.still_(filled.model)
    subject = Subject(built, graph, filled, trains=filled is not None and training(filled, built) == "answers")
    for plan_name, make in plans(seeds).items():
        yield {"stage": plan_name}
        yield {"plans": {plan_name: outcome(subject, make)}}
        gc.collect()  # modules refer to themselves, and every copy of a large one counts
    if any(group.kind is Kind.HEAD_DIM for group in graph.cuttable.values()):
        yield {"stage": "heads"}
        by_heads = replace(subject, graph=secateur.trace(built.model, built.draw(0), heads=True))
        yield {"plans": {"heads": outcome(by_heads, heads)}}
    yield {"stage": "keeps"}
    keeps = {} if large else kept_promises(built, graph)
    keeps["untouched"] = "" if portrait(built.model) == before else "the model that was passed in has changed"
    yield {"keeps": keeps, "status": "checked", "stage": "done"}


def kept_promises(built: Built, graph: secateur.ChannelGraph) -> dict[str, str]:
    """What half of the network lost beside its units, in words; an empty text is a pass."""
    if not graph.cuttable:
        return {}
    try:
        return faults(built, secateur.shrink(built.model, uniform(graph), verify=False))
    except Exception as error:  # the finding; the plans above tell more
        return {"backward": describe(error)}


def structure(graph: secateur.ChannelGraph) -> Part:
    """What the graph says: how much may go, what is pinned and why."""
    whole, smallest = secateur.cost(graph), secateur.cost(graph, least(graph))
    pinned: Counter[str] = Counter()
    for group in graph.groups.values():
        if group.pinned:
            pinned[group.pinned] += group.units
    return {
        "unknown": dict(graph.unknown),
        "groups": len(graph.groups),
        "cuttable": len(graph.cuttable),
        "prunable": 1 - smallest.params / max(whole.params, 1),
        "macs": whole.macs,
        "rescalings": len(graph.rescalings),
        "pinned": pinned.most_common(12),
    }


def training(filled: strong.Strong, built: Built) -> str:
    """What can be compared in training mode: the answers, only their shapes where it draws at random, or nothing."""
    try:
        first, second = (
            strong.answers(copy.deepcopy(filled.model).train(), built.draw(1), double=filled.double, seed=seed)
            for seed in range(2)
        )
    except Exception:  # whatever a forward raises in training mode, it then cannot be compared there
        return "nothing"
    gap = strong.gap(first, second)
    return "answers" if gap == 0 else "shapes" if gap < float("inf") else "nothing"


def outcome(subject: Subject, make: Any) -> Part:
    """What came of one plan: `equal`, `differs`, `raises`, `unproven` or `nothing to cut`; and the costs that stay."""
    graph = subject.graph
    if not graph.cuttable:
        return {"status": "nothing to cut"}
    start = time.process_time()
    try:
        plan = make(graph)
    except Exception as error:  # a plan that cannot be made is a finding about the library
        return {"status": "raises", "error": f"planning: {describe(error)}"}
    found: Part = {"plan_s": time.process_time() - start} | saved(plan)
    if all(bool(keep.all()) for keep in plan.kept.values()):
        return found | {"status": "nothing to cut"}
    start = time.process_time()
    try:
        found |= {"difference": secateur.verify(subject.built.model, plan), "status": "equal"}
    except VerificationError as error:
        found |= {"status": verdict(error), "error": describe(error)}
        if error.difference == error.difference:  # not NaN
            found["difference"] = error.difference
    except Exception as error:  # any other exception of the library is a finding too
        found |= {"status": "raises", "error": describe(error)}
    found["verify_s"] = time.process_time() - start
    return found | {"recheck": recheck(subject, plan)}


def saved(plan: secateur.PruningPlan) -> Part:
    """Shares of MACs and parameters that a plan keeps."""
    whole, left = (secateur.cost(plan.graph, plan.graph.widths(kept)) for kept in ({}, kept_by_group(plan)))
    return {"macs": left.macs / max(whole.macs, 1), "params": left.params / max(whole.params, 1)}


def kept_by_group(plan: secateur.PruningPlan) -> Mapping[str, Tensor]:
    """What a plan keeps, told by groups also where its blocks are larger things."""
    return {name: keep for name, keep in plan.kept.items() if name in plan.graph.groups}


def recheck(subject: Subject, plan: secateur.PruningPlan) -> Part:
    """The comparison once more, by code of our own, on other weights and other inputs, in both modes."""
    if subject.strong is None:
        return {"status": "unproven"}
    try:
        seen = second_opinion(subject.strong, plan, subject.built.draw(2), train=subject.trains)
    except IncompatibleError as error:  # a forward that makes its buffers anew has changed the model that was filled
        return {"status": "unproven", "error": describe(error)}
    except Exception as error:  # whatever a cut network raises is the finding
        return {"status": "raises", "error": describe(error)}
    status = "equal" if seen <= subject.strong.limit else "differs"
    return {"status": status, "difference": seen, "training": subject.trains, "double": subject.strong.double}


def second_opinion(filled: strong.Strong, plan: secateur.PruningPlan, inputs: Inputs, *, train: bool) -> float:
    """Largest relative difference between masked and shrunk network, in eval and, if asked, in training mode."""
    masked = secateur.mask(filled.model, plan)
    shrunk = secateur.shrink(filled.model, plan, verify=False)
    seen = 0.0
    for mode in (False, True) if train else (False,):
        wanted, found = (strong.answers(model.train(mode), inputs, double=filled.double) for model in (masked, shrunk))
        gap = strong.gap(wanted, found)
        if filled.limit < gap < 100 * strong.tremor(masked, inputs, wanted, filled.double):
            gap = 0.0  # rounding, amplified
        seen = max(seen, gap)
    return seen


def verdict(error: VerificationError) -> str:
    """The kind of a failed verification."""
    text = str(error)
    if "does not run" in text:
        return "raises"
    return "unproven" if "no finite numbers" in text else "differs"


def describe(error: BaseException) -> str:
    """Class and message of an exception, on one line of at most 400 characters."""
    return re.sub(r"\s+", " ", f"{type(error).__name__}: {error}")[:400]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("zoo")
    parser.add_argument("name")
    parser.add_argument("--seeds", type=int, default=3)
    wanted = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    stage = "start"
    try:
        for part in check(wanted.zoo, wanted.name, wanted.seeds):
            stage = part.get("stage", stage)
            limits.say(part)
    except Exception as error:  # the finding of this process, whatever it is
        limits.say({"status": "failed", "failure": {"stage": stage, "error": describe(error)}})
    limits.say({"cpu_s": time.process_time(), "gigabytes": limits.peak_gigabytes()})


if __name__ == "__main__":
    main()
