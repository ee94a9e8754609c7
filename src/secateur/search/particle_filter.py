"""A particle filter over masks: many plans are tried, good ones survive, are crossed and changed a little."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from secateur.apply.masking import mask
from secateur.core.contracts import Progress, Quality
from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper
from secateur.core.plan import PruningPlan
from secateur.core.rng import generator

#: Block name to `(runs, units of a run)`, True = stays.
_Particle = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class ParticleFilter:
    """A particle filter over masks, settings of `particle_filter(model, plan, quality)`.

    Many plans are tried; good ones survive, are crossed and changed a little.

    Paper:   Anwar et al., *Structured Pruning of Deep Convolutional Neural Networks*, JETC 2017 (evolutionary particle
             filter). arXiv:1512.08571
    Formula: weight of particle i = exp(-(e_i - min e) / std e), e the error; resample in proportion, cross, perturb
    Cost:    at most particles * rounds evaluations of the network
    Differs: weights follow the spread of the errors, so that any figure will do; the best particle survives as it is;
             the first particle is the plan that scores chose, so the result is never worse on the validation data

    Attributes:
        particles: plans that are tried in one round.
        rounds: how many times to evaluate, resample and perturb.
        perturb: the share of what a particle keeps that is exchanged for something else in each round.
        crossover: whether particles are crossed, run by run (channel by channel), before they are perturbed.
    """

    particles: int = 20
    rounds: int = 10
    perturb: float = 0.1
    crossover: bool = True
    paper: ClassVar[Paper | None] = Paper("anwar2017")

    def __post_init__(self) -> None:
        if self.particles < 2 or self.rounds < 1 or not 0 < self.perturb <= 1:
            raise IncompatibleError(
                "particles must be 2 or more, rounds 1 or more and perturb in (0, 1], "
                f"got particles={self.particles!r}, rounds={self.rounds!r}, perturb={self.perturb!r}."
            )


def particle_filter(
    model: nn.Module,
    start: PruningPlan,
    quality: Quality,
    *,
    settings: ParticleFilter | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> PruningPlan:
    """Search for units that go well together, as many of each block (and of each run of it) as `start` keeps.

    Args:
        model: the dense network; it is not touched.
        start: where to start, for instance what magnitude chose; blocks that keep everything stay as they are.
        quality: figure of a masked network on validation data, higher is better; of several figures the first counts.
        settings: how many particles and rounds.
        seed: for everything random.
        progress: called as `(what, done, total)` after each evaluation.

    Returns:
        The best plan that was tried; `start` itself if none was better.
    """
    how = settings or ParticleFilter()
    runs = {b.name: b.run or b.units for b in start.blocks if b.name in start.kept}
    first = {name: start.kept[name].view(-1, run) for name, run in runs.items() if not bool(start.kept[name].all())}
    trial = _Trials(model, start, quality, how.particles * how.rounds, progress)
    rng = generator(seed, "particle_filter")
    particles = [first, *(_drawn(first, rng) for _ in range(how.particles - 1))]
    for number in range(how.rounds):
        errors = torch.tensor([-trial.quality_of(one) for one in particles], dtype=torch.float64)
        if number + 1 < how.rounds:
            particles = _next(particles, errors, how, rng)
    made = trial.best
    told = f"{start.provenance.allocation}, then {how!r}"
    return replace(made, provenance=replace(start.provenance, allocation=told, seed=seed))


@dataclass(slots=True)
class _Trials:
    """Evaluates particles, each different one once, and remembers the best.

    Attributes:
        model: the dense network.
        start: the plan that is varied.
        quality: its figure is higher for better networks.
        total: evaluations in all, for `progress`.
        progress: told after each.
        known: quality by what a particle keeps.
        best: the best plan so far; of equals, the first.
        done: evaluations asked for.
    """

    model: nn.Module
    start: PruningPlan
    quality: Quality
    total: int
    progress: Progress | None
    known: dict[bytes, float] = field(default_factory=dict)
    best: PruningPlan = field(init=False)
    done: int = 0

    def __post_init__(self) -> None:
        self.best = self.start

    def quality_of(self, particle: _Particle) -> float:
        """The figure of the network that is masked like this."""
        key = b"".join(keep.numpy().tobytes() for keep in particle.values())
        if key not in self.known:
            plan = replace(self.start, kept={**self.start.kept, **{n: k.flatten() for n, k in particle.items()}})
            found = self._figure(plan)
            if found > max(self.known.values(), default=float("-inf")):
                self.best = plan
            self.known[key] = found
        self.done += 1
        if self.progress is not None:
            self.progress("particle filter", self.done, self.total)
        return self.known[key]

    def _figure(self, plan: PruningPlan) -> float:
        found = self.quality(mask(self.model, plan))
        return float(next(iter(found.values())) if isinstance(found, Mapping) else found)


def _next(particles: list[_Particle], errors: Tensor, how: ParticleFilter, rng: torch.Generator) -> list[_Particle]:
    """The next round: the best as it is, and children of particles that are drawn by their weights."""
    spread = errors.std().clamp_min(1e-12)
    weights = torch.exp(-(errors - errors.min()) / spread)
    best = particles[int(errors.argmin())]
    drawn = torch.multinomial(weights, 2 * (how.particles - 1), replacement=True, generator=rng).tolist()
    pairs = [(particles[a], particles[b]) for a, b in zip(drawn[::2], drawn[1::2], strict=True)]
    children = [_crossed(a, b, rng) if how.crossover else a for a, b in pairs]
    return [best, *(_perturbed(child, how.perturb, rng) for child in children)]


def _drawn(like: _Particle, rng: torch.Generator) -> _Particle:
    """As many of every run, by lot."""
    lots = {name: torch.rand(keep.shape, generator=rng) for name, keep in like.items()}
    return {n: _first(lots[n], torch.ones_like(keep), keep.sum(1, keepdim=True)) for n, keep in like.items()}


def _crossed(a: _Particle, b: _Particle, rng: torch.Generator) -> _Particle:
    """Every run as in one of the two, by lot."""
    return {n: torch.where(torch.rand(len(keep), 1, generator=rng) < 0.5, keep, b[n]) for n, keep in a.items()}


def _perturbed(particle: _Particle, share: float, rng: torch.Generator) -> _Particle:
    """Some of what stays is exchanged for as much of what goes, within every run; never nothing at all."""
    made = {name: _exchanged(keep, share, rng) for name, keep in particle.items()}
    if made and all(torch.equal(made[name], keep) for name, keep in particle.items()):
        name = list(made)[int(torch.randint(len(made), (1,), generator=rng))]
        keep = particle[name]
        row = int(torch.randint(len(keep), (1,), generator=rng))
        made[name] = torch.cat([keep[:row], _exchanged(keep[row : row + 1], 1.0, rng), keep[row + 1 :]])
    return made


def _exchanged(keep: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """Exchange each unit that stays, with probability `share`, for one of its run that goes, while there are any."""
    lot = torch.rand(keep.shape, generator=rng)
    leave = keep & (torch.rand(keep.shape, generator=rng) < share)
    count = torch.minimum(leave.sum(1, keepdim=True), (~keep).sum(1, keepdim=True))
    return (keep & ~_first(lot, leave, count)) | _first(lot, ~keep, count)


def _first(lot: Tensor, among: Tensor, count: Tensor) -> Tensor:
    """The `count` units `among` each run whose lot is highest."""
    order = torch.sort(torch.where(among, lot, -1.0), dim=1, descending=True, stable=True).indices
    place = torch.empty_like(order).scatter_(1, order, torch.arange(lot.shape[1]).expand_as(order))
    return among & (place < count)
