"""`search`: how many units each block keeps, found by trying."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from torch import nn

from secateur.apply.verify import verify
from secateur.core.budget import Budget
from secateur.core.contracts import Batches, Criterion, Granularity, Known, Loss, Progress, Quality, Repair, Search
from secateur.core.errors import BudgetError, IncompatibleError, MissingEvidenceError
from secateur.core.groups import ChannelGraph
from secateur.core.plan import PruningPlan
from secateur.core.recipe import Recipe
from secateur.core.rng import private_random
from secateur.evidence import collect, cross_entropy
from secateur.graph.trace import trace
from secateur.methods import recipe as named_recipe
from secateur.planning import Constraints, prepare, score
from secateur.planning.check import check
from secateur.repair import BatchNorm
from secateur.search import SEARCHES, Attempt, Trial
from secateur.searching.memory import Found, Journal, Memory, Problem, Store
from secateur.searching.study import Study
from secateur.searching.trying import Trying

#: A recipe of which criterion, granularity and repairs are used, or the first two.
Parts = str | Recipe | tuple[Criterion, Granularity]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRun:
    """How a search is carried out.

    Attributes:
        evaluations: candidates that are tried, at most.
        seed: for everything random.
        out: folder for the journal and the study; a search that finds its own goes on. None keeps nothing.
        storage: where Optuna keeps the study: a URL such as `postgresql://user@host/name`; by default a SQLite file in
            `out`, if Optuna is installed.
        repair: what mends each candidate; None for the recipe's, or new batch-norm statistics if that has none.
        constraints: multiples, frozen blocks.
        loss: `(output, target) -> scalar`, for criteria that need one.
        calibration: most batches used for collecting evidence.
        progress: called as `(what, done, total)`; what names the best quality so far.
    """

    evaluations: int = 200
    seed: int = 0
    out: Path | str | None = None
    storage: str | None = None
    repair: tuple[Repair, ...] | None = None
    constraints: Constraints = field(default_factory=Constraints)
    loss: Loss = cross_entropy
    calibration: int = 32
    progress: Progress | None = None

    def __post_init__(self) -> None:
        if self.evaluations < 1:
            raise IncompatibleError(f"evaluations must be 1 or more, got evaluations={self.evaluations!r}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What `search` returns.

    Attributes:
        plan: the best plan, verified.
        quality: what it was found to be worth, mended and not trained.
        dense: the quality of the network as it was.
        history: every candidate, in order.
        how: the search, as its `repr`.
        seconds: of all evaluations together, those of earlier runs too.
        broken_off: Ctrl-C ended it early.
    """

    plan: PruningPlan
    quality: float
    dense: float
    history: tuple[Trial, ...]
    how: str
    seconds: float
    broken_off: bool = False

    @property
    def best(self) -> Trial:
        """The candidate that won."""
        return max((t for t in self.history if t.fits), key=lambda t: (t.worth, -t.number))


def search(
    model: nn.Module,
    recipe: Parts,
    budget: Budget | str | None = None,
    *,
    example_inputs: Any,
    quality: Quality,
    data: Batches | None = None,
    how: str | Search = "bayesian",
    run: SearchRun | None = None,
) -> Searched:
    """Find out how many units each block should keep, by trying many choices on the network itself.

    The criterion says which units go, once and for all; every candidate is masked, mended and judged, and nothing is
    trained. Judge on examples that were held out of the *training* data, never on test data: the search fits them.

    Args:
        model: a trained network; it is left exactly as it was.
        recipe: criterion and granularity, or a recipe (or its name) of which these and the repairs are used.
        budget: what may remain, `"0.5 macs"` or a `Budget`; the recipe's own by default.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments.
        quality: `model -> figure(s)`, higher is better; of several the first counts.
        data: `(inputs, target)` batches for evidence and repairs.
        how: a name from `secateur list searches`, or a `Search`.
        run: evaluations, seed, folder, storage, repairs, constraints, progress.

    Returns:
        The best plan and everything that was tried. Ctrl-C ends the search and returns what was found so far.

    Raises:
        BudgetError: the budget is malformed, missing or out of reach.
        MissingEvidenceError: criterion or repairs need data and there are none.
        IncompatibleError: the folder holds a search of another problem.
        VerificationError: masked and shrunk networks would differ.
    """
    settings, target = run or SearchRun(), _budget(budget, recipe)
    graph, known = looked_at(model, recipe, example_inputs, data, settings)
    return search_graph(model, graph, recipe, target, known=known, quality=quality, how=how, run=settings)


def search_graph(
    model: nn.Module,
    graph: ChannelGraph,
    recipe: Parts,
    budget: Budget | str | None = None,
    *,
    known: Known,
    quality: Quality,
    how: str | Search = "bayesian",
    run: SearchRun | None = None,
) -> Searched:
    """`search`, where the network was traced and evidence was collected already.

    Args:
        model: the dense network; it is left exactly as it was.
        graph: its structure.
        recipe: as for `search`.
        budget: as for `search`.
        known: evidence that criterion and repairs need, and batches for the repairs.
        quality: as for `search`.
        how: as for `search`.
        run: as for `search`.

    Returns:
        The best plan and everything that was tried.
    """
    settings = run or SearchRun()
    method = SEARCHES[how]() if isinstance(how, str) else how
    trying = ready_to_try(model, graph, recipe, _budget(budget, recipe), known, quality, settings)
    choices = trying.ready.choices
    with private_random(settings.seed):
        dense = trying.figure(model)
    problem = {**problem_of(trying, dense), "search": repr(method), "seed": settings.seed}
    memory = Memory(stores(settings, problem, choices.blocks), tuple(choices.blocks))
    attempt = Attempt(
        method,
        choices,
        partial(remembered, trying, memory, settings.seed),
        settings.evaluations,
        partial(_told, settings, type(method).__name__),
    )
    attempt.run(settings.seed)
    if attempt.best is None:
        raise IncompatibleError(
            f"{method!r} tried nothing that meets the budget in {len(attempt.trials)} evaluations. Allow more."
        )
    made = trying.plan(attempt.best.counts, repr(method), settings.seed)
    made = replace(made, provenance=replace(made.provenance, allocation=repr(method)))
    if made.is_structured:
        verify(model, made)
    tried = {memory.key(trial.counts) for trial in attempt.trials}
    return Searched(
        plan=made,
        quality=attempt.best.quality,
        dense=dense,
        history=tuple(attempt.trials),
        how=repr(method),
        seconds=sum(memory.found[key].seconds for key in tried),
        broken_off=attempt.broken_off,
    )


def looked_at(
    model: nn.Module, recipe: Parts, example_inputs: Any, data: Batches | None, settings: SearchRun
) -> tuple[ChannelGraph, Known]:
    """The structure of the network, and what criterion and repairs have to know.

    Raises:
        MissingEvidenceError: criterion or repairs need data and there are none.
    """
    criterion, granularity, repair = _parts(recipe, settings)
    check(criterion, granularity)
    if data is None and (repair or not criterion.traits.data_free):
        raise MissingEvidenceError(
            f"{criterion!r} and the repairs {', '.join(map(repr, repair)) or 'none'} need data and none was given. "
            "Pass data=, an iterable of (inputs, target) batches, or run=SearchRun(repair=()) with a data-free "
            "criterion."
        )
    graph = trace(model, example_inputs, heads=granularity.heads, depth=granularity.modular)
    needs = tuple(dict.fromkeys([*criterion.needs, *(need for one in repair for need in one.needs)]))
    with private_random(settings.seed):
        evidence = collect(
            model,
            data,
            needs,
            graph=graph,
            loss=settings.loss,
            limit=settings.calibration,
            progress=settings.progress,
        )
    return graph, Known(evidence, data if data is not None else ())


def ready_to_try(
    model: nn.Module,
    graph: ChannelGraph,
    recipe: Parts,
    budget: Budget,
    known: Known,
    quality: Quality,
    settings: SearchRun,
) -> Trying:
    """Scores, limits and repairs, put together once for all candidates."""
    criterion, granularity, repair = _parts(recipe, settings)
    scores = score(graph, criterion, known.evidence, granularity=granularity)
    ready = prepare(graph, scores, budget, constraints=settings.constraints)
    return Trying(model, ready, criterion, settings.constraints, repair, known, quality)


def problem_of(trying: Trying, dense: float) -> dict[str, Any]:
    """What old evaluations must agree with to count: all that a quality depends on, as far as it can be told."""
    choices, scores = trying.ready.choices, trying.ready.scores
    return {
        "network": _digest(trying.model),
        "graph": choices.graph.fingerprint,
        "budget": str(choices.budget),
        "criterion": repr(trying.criterion),
        "granularity": repr(scores.granularity),
        "constraints": _constraints(trying.constraints),
        "repair": repr(trying.repair),
        "quality of the dense network": dense,
    }


def remembered(trying: Trying, memory: Memory, seed: int, counts: Mapping[str, int]) -> float:
    """The quality of counts: from memory, or found now and remembered."""
    key = memory.key(counts)
    if key not in memory.found:
        start = perf_counter()
        with private_random(seed):  # whatever a user's quality draws is the same for all candidates
            quality = trying.figure(trying.network(trying.plan(counts, "")))
        memory.add(counts, Found(quality, perf_counter() - start))
    return memory.found[key].quality


def _told(settings: SearchRun, name: str, trial: Trial, best: Trial | None) -> None:
    if settings.progress is not None:
        so_far = "none fits yet" if best is None else f"best {best.quality:.4f}"
        settings.progress(f"search {name}, {so_far}", trial.number + 1, settings.evaluations)


def _parts(recipe: Parts, settings: SearchRun) -> tuple[Criterion, Granularity, tuple[Repair, ...]]:
    if isinstance(recipe, tuple):
        criterion, granularity = recipe
        own: tuple[Repair, ...] = ()
    else:
        found = named_recipe(recipe) if isinstance(recipe, str) else recipe
        criterion, granularity, own = found.criterion, found.granularity, found.repair
    return criterion, granularity, (own or (BatchNorm(),)) if settings.repair is None else settings.repair


def _budget(budget: Budget | str | None, recipe: Parts) -> Budget:
    found = named_recipe(recipe) if isinstance(recipe, str) else recipe
    target = Budget(budget) if isinstance(budget, str) else budget
    target = target or (found.budget if isinstance(found, Recipe) else None)
    if target is None:
        raise BudgetError("neither search() nor the recipe names a budget. Pass budget='0.5 macs'.")
    return target


def _constraints(rules: Constraints) -> str:
    before = rules.within.digest() if rules.within is not None else None
    return f"multiple={rules.multiple}, frozen={rules.frozen}, only={rules.only}, within={before}"


def _digest(model: nn.Module) -> str:
    """A hash of all numbers of a network."""
    found = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        found.update(name.encode())
        if hasattr(tensor, "detach"):
            found.update(tensor.detach().cpu().contiguous().flatten().view(-1).double().numpy().tobytes())
    return found.hexdigest()[:16]


def stores(settings: SearchRun, problem: Problem, units: Mapping[str, int]) -> tuple[Store, ...]:
    """Where evaluations are kept, by what the settings say: a journal in `out`, a study there or elsewhere."""
    found: list[Store] = []
    url = settings.storage
    if settings.out is not None:
        folder = Path(settings.out)
        folder.mkdir(parents=True, exist_ok=True)
        found.append(Journal(folder / "journal.jsonl", problem))
        if url is None and importlib.util.find_spec("optuna") is not None:
            url = f"sqlite:///{(folder / 'study.db').resolve()}"
    if url is not None:
        name = hashlib.sha256(repr(sorted(problem.items())).encode()).hexdigest()[:12]
        found.append(Study(url, f"secateur {name}" if settings.storage else "secateur", problem, units))
    return tuple(found)
