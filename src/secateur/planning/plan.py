"""`plan`: scores and a budget in, a decision out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version
from math import ceil

import torch

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.contracts import Allocation, Block, Granularity
from secateur.core.errors import BudgetError, IncompatibleError, UnknownNameError, UnsupportedError
from secateur.core.groups import ChannelGraph
from secateur.core.plan import Provenance, PruningPlan
from secateur.core.scores import Scope, Scores
from secateur.core.whereabouts import known, whereabouts
from secateur.planning.asked import asked
from secateur.planning.entries import entries
from secateur.planning.limits import Choices
from secateur.planning.reasons import pinned, reasons, whole
from secateur.planning.select import ranking, select


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """What a plan must respect beside the budget.

    Attributes:
        multiple: kept widths divide by this (16 suits processors with 512-bit registers), or stay whole.
        frozen: patterns of block names (`stem.*`) that lose nothing; each must match something. A block is a group, and
            has the name of its first layer: to keep a layer that ends in a sum, freeze the group that it is added to.
            Where units are whole modules, names of modules (`layer4.*`) will do as well.
        only: patterns of block or module names that may be cut; all others lose nothing. Empty: all may.
        within: an earlier plan; what it removed stays removed, in frozen blocks too.
    """

    multiple: int = 1
    frozen: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    within: PruningPlan | None = None

    def __post_init__(self) -> None:
        for name in ("frozen", "only"):
            given = getattr(self, name)  # one pattern alone is taken for what it says, not for its letters
            object.__setattr__(self, name, (given,) if isinstance(given, str) else tuple(given))
        if self.multiple < 1:
            raise IncompatibleError(
                f"multiple must be 1 or more, got multiple={self.multiple!r}. 8 or 16 suit most processors."
            )


def plan(
    graph: ChannelGraph,
    scores: Scores,
    budget: Budget,
    allocation: Allocation | None = None,
    *,
    constraints: Constraints | None = None,
    seed: int = 0,
) -> PruningPlan:
    """Decide which units stay.

    Args:
        graph: the structure.
        scores: higher = keep.
        budget: what may remain; met from below, as closely as whole units allow.
        allocation: how many each block keeps; uniform by default.
        constraints: multiples, frozen blocks, an earlier plan.
        seed: written into the provenance.

    Returns:
        The plan; `plan.provenance.reached` is the fraction that it really keeps.

    Raises:
        UnsupportedError: nothing may be cut, with the reasons.
        BudgetError: the budget is out of reach even if every block keeps its minimum; with what is not cut, and why.
        UnknownNameError: a pattern matches no block; with where the name lives, if anywhere.
    """
    ready = prepare(graph, scores, budget, constraints=constraints)
    how = Uniform() if allocation is None else allocation
    candidates = replace(scores, values=ready.values)
    counts = how.counts(candidates, ready.choices)
    # a fraction of a module is nothing to ask for
    wanted = {} if ready.choices.ranked else asked(how, candidates, ready.choices)
    return ready.decided(counts, allocation=repr(how), asked=wanted, seed=seed, fills=how.fills)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """All of `plan` that comes before an allocation, so that many numbers of units can be tried at little cost.

    Attributes:
        scores: as they were given.
        values: scores of the blocks that may be cut; units that must stay have infinite ones.
        choices: what an allocation may choose from.
        blocks: everything that the granularity ranks within.
        kept: units of the blocks that are not cut now, boolean.
        stay: modules that the constraints hold.
    """

    scores: Scores
    values: Mapping[str, torch.Tensor]
    choices: Choices
    blocks: Mapping[str, Block]
    kept: Mapping[str, torch.Tensor]
    stay: tuple[str, ...]

    def decided(
        self,
        counts: Mapping[str, int],
        *,
        allocation: str,
        asked: Mapping[str, float] | None = None,
        seed: int = 0,
        fills: bool = True,
    ) -> PruningPlan:
        """The plan in which the best units of every block stay, so many as `counts` says.

        Args:
            counts: units to keep by block; they must fit.
            allocation: where the counts came from, in words, for the provenance.
            asked: fractions that were asked for, for the provenance.
            seed: for the provenance.
            fills: of whole modules, those that came before a large one stay after all where there is room; if not,
                only if their scores are above zero.
        """
        choices = self.choices
        kept = {n: select(self.values[n], counts[n], block.run) for n, block in choices.free.items()} | dict(self.kept)
        made = PruningPlan({n: kept[n] for n in self.blocks}, self.scores.granularity, choices.graph)
        if choices.ranked:
            values = self.values if fills else {n: _not_zero(v) for n, v in self.values.items()}
            made = _filled(made, values, choices)
        spent = choices.spent_without(made.removed) if choices.ranked else choices.spent(counts)
        origin = Provenance(
            criterion=self.scores.criterion,
            allocation=allocation,
            budget=str(choices.budget),
            reached=spent / choices.whole,
            seed=seed,
            version=library_version(),
            asked=asked or {},
            frozen=(*self.kept, *self.stay),
        )
        return replace(made, provenance=origin)


def prepare(graph: ChannelGraph, scores: Scores, budget: Budget, *, constraints: Constraints | None = None) -> Prepared:
    """What may be chosen from, once budget and constraints are known to be possible.

    Args:
        graph: the structure.
        scores: higher = keep.
        budget: what may remain.
        constraints: multiples, frozen blocks, an earlier plan.

    Raises:
        SecateurError: whatever `plan` raises.
    """
    rules = constraints or Constraints()
    blocks = {b.name: _in_rows(b, scores) for b in scores.granularity.blocks(graph)}
    left_whole = _left_whole(graph, scores.granularity)
    _check_any(blocks, scores.granularity, left_whole)
    guarded = _guarded(graph, blocks, rules, left_whole)
    values = {n: _alive(scores, n, rules.within) for n in _not_frozen(guarded, left_whole)}
    held = {n: guarded[n] & (v > float("-inf")) for n, v in values.items()}
    values = {n: torch.where(held[n], torch.full_like(v, float("inf")), v) for n, v in values.items()}
    free = {n: replace(blocks[n], minimum=max(blocks[n].minimum, int(held[n].sum()))) for n in values}
    ceiling = {n: min(_most(b), rules.within.width(n) if rules.within else b.units) for n, b in free.items()}
    frozen = {n: _before(b, rules.within) for n, b in blocks.items() if n not in free}
    still = {n: int(keep.sum()) for n, keep in frozen.items()}
    ranked = {n: _modules(b, values[n] if n in free else frozen[n].double()) for n, b in blocks.items() if b.modules}
    parts = [b for b in blocks.values() if not b.group and not b.modules]
    by_choice = {b.name: (values[b.name], b.run) if b.name in free else (frozen[b.name].double(), 0) for b in parts}
    sizes = {b.name: entries(scores.granularity, graph, b, *by_choice[b.name]) for b in parts}
    choices = Choices(graph, budget, free, still, ceiling, rules.multiple, ranked, sizes)
    stay = tuple(m for n, b in blocks.items() for m, fast in zip(b.modules, guarded[n].tolist(), strict=False) if fast)
    _check_reach(choices, blocks, [*left_whole, *((module, "frozen by the constraints") for module in stay)])
    return Prepared(scores, values, choices, blocks, frozen, stay)


def matching(patterns: Sequence[str], names: Sequence[str], graph: ChannelGraph) -> set[str]:
    """Names that match any of the shell-style `patterns`.

    Raises:
        UnknownNameError: a pattern matches nothing; the message says where it would lie in `graph`.
    """
    found: set[str] = set()
    for pattern in patterns:
        hits = {n for n in names if fnmatchcase(n, pattern)}
        if not hits:
            hint = whereabouts(graph, pattern, names)
            told = f"the pattern {pattern!r} matches no block.{' ' * bool(hint)}{hint}"
            raise UnknownNameError(f"{told} Blocks: {known(names)}.")
        found |= hits
    return found


def untouched(graph: ChannelGraph, granularity: Granularity, rules: Constraints) -> set[str]:
    """Blocks of which the patterns say that nothing goes.

    Raises:
        UnknownNameError: a pattern matches nothing.
    """
    blocks = {b.name: b for b in granularity.blocks(graph)}
    guarded = _guarded(graph, blocks, rules, _left_whole(graph, granularity))
    return {name for name, units in guarded.items() if bool(units.all())}


def library_version() -> str:
    """Version of the installed package."""
    try:
        return version("secateur")
    except PackageNotFoundError:
        return "unknown"


def _check_any(blocks: dict[str, Block], granularity: Granularity, left_whole: Sequence[tuple[str, str]]) -> None:
    if not blocks and granularity.modular:
        raise UnsupportedError(
            f"no module of this model can go as a whole, so {granularity!r} has nothing to cut. That takes residual "
            "blocks that are modules of their own, are called once, with one tensor, and return it unchanged when all "
            "of their parameters are zero. Cut channels or weights instead."
        )
    if not blocks:
        why = reasons(left_whole) if left_whole else "it has no weights"
        raise UnsupportedError(
            f"nothing in this model may be cut. Reasons: {why}. `secateur trace` shows them one by one."
        )


def _guarded(
    graph: ChannelGraph, blocks: dict[str, Block], rules: Constraints, left_whole: Sequence[tuple[str, str]]
) -> dict[str, torch.Tensor]:
    """Which units of each block the patterns forbid to go, boolean `(units,)`."""
    names = [*blocks, *(module for block in blocks.values() for module in block.modules)]
    # What loses nothing anyway, a pinned group for instance, may be named among the frozen ones.
    frozen = matching(rules.frozen, [*names, *(name for name, _ in left_whole)], graph)
    allowed = matching(rules.only, names, graph) if rules.only else set(names)
    guarded = {}
    for name, block in blocks.items():
        units = [{name, module} for module in block.modules] or [{name}]
        stay = [bool(frozen & unit) or not allowed & unit for unit in units]
        guarded[name] = torch.tensor(stay).expand(block.units)
    return guarded


def _left_whole(graph: ChannelGraph, granularity: Granularity) -> list[tuple[str, str]]:
    """What loses nothing whatever is asked, and why: pinned groups, or weights that do not divide into units."""
    channels = granularity.structured and not granularity.modular
    return [*(pinned(graph) if channels else []), *granularity.omitted(graph).items()]


def _check_reach(choices: Choices, blocks: dict[str, Block], left_whole: Sequence[tuple[str, str]]) -> None:
    budget, least = choices.budget, choices.least
    if not choices.whole:
        raise BudgetError(f"this model has no {budget.of} to cut. Write the budget in params or units.")
    if not choices.fits(least):
        reachable = choices.spent(least) / choices.whole
        safe = ceil(reachable * 1e4) / 1e4  # rounded up, so that asking for the figure in the message works
        kept = [*whole(blocks, choices.free, least), *left_whole]
        raise BudgetError(
            f"a budget of {budget} cannot be met: with every block at its minimum {safe:g} of the {budget.of} "
            f"remain. Ask for {safe:g} or more, freeze less, or use a smaller multiple. "
            f"Nothing goes from: {reasons(kept)}.",
            reachable,
        )


def _not_frozen(guarded: dict[str, torch.Tensor], left_whole: Sequence[tuple[str, str]]) -> list[str]:
    """The blocks of which something may go."""
    free = [name for name, units in guarded.items() if not bool(units.all())]
    if not free:
        raise UnsupportedError(
            f"every block is frozen, so nothing may be cut. Freeze less. Frozen: {known(list(guarded))}"
            + (f". Pinned besides: {reasons(left_whole)}." if left_whole else ".")
        )
    return free


def _most(block: Block) -> int:
    """The most units that a block may keep."""
    return block.units if block.maximum is None else block.maximum


def _in_rows(block: Block, scores: Scores) -> Block:
    """The block, chosen row by row of its weight where scores may be ranked in rows only and units lie in rows."""
    if scores.comparable > Scope.ROW or block.run or block.rows == 1:
        return block
    return replace(block, run=block.units // block.rows)


def _modules(block: Block, values: torch.Tensor) -> tuple[str, ...]:
    """The modules of a block whose units are modules, best first."""
    return tuple(block.modules[unit] for unit in ranking(values).tolist())


def _filled(made: PruningPlan, values: Mapping[str, torch.Tensor], choices: Choices) -> PruningPlan:
    """Modules cost unequally much: those that came before a large one may stay after all, the best of them first."""
    for name in [name for name in values if name in choices.ranked]:
        lost = ~made.kept[name] & (values[name] > float("-inf"))
        for unit in [unit for unit in ranking(values[name]).tolist() if lost[unit]]:
            keep = made.kept[name].clone()
            keep[unit] = True
            more = replace(made, kept={**made.kept, name: keep})
            made = more if choices.fits_without(more.removed) else made
    return made


def _not_zero(values: torch.Tensor) -> torch.Tensor:
    """Scores of which zeros, which an allocation let go on purpose, do not come back."""
    return torch.where(values > 0, values, float("-inf"))


def _before(block: Block, within: PruningPlan | None) -> torch.Tensor:
    """What a block that is not cut now keeps: everything, or what an earlier plan left."""
    everything = torch.ones(block.units, dtype=torch.bool)
    return everything if within is None else within.kept.get(block.name, everything)


def _alive(scores: Scores, name: str, within: PruningPlan | None) -> torch.Tensor:
    values = scores.values[name]
    if within is None or name not in within.kept:
        return values
    return torch.where(within.kept[name], values, torch.full_like(values, float("-inf")))
