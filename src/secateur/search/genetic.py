"""A genetic algorithm over the numbers of kept units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from secateur.core.contracts import Evaluate, Limits, Search
from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper
from secateur.core.rng import private_random
from secateur.search.base import lowest, optuna_library, project, search


@search("genetic")
@dataclass(frozen=True, kw_only=True)
class Genetic(Search):
    """Choices are crossed and changed a little, and the better ones have children: NSGA-II with one aim.

    Paper:   Deb et al., *A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II*, IEEE Transactions on
             Evolutionary Computation 2002
    Formula: a gene for every block, the number of units that it keeps; uniform crossover and mutation of genes; the
             better half of parents and children stays; every choice is scaled to the budget before it is tried
    Cost:    as many evaluations as there are
    Differs: one aim instead of many, since the budget holds by construction; the uniform choice is in the first
             generation

    Needs Optuna: `pip install secateur[search]`.

    Attributes:
        population: choices of one generation.
        mutation: how many genes of each choice are drawn anew, on average.
        crossover: probability that a child has two parents.

    Example:
        >>> Genetic(population=10).crossover
        0.9
    """

    population: int = 20
    mutation: float = 1.0
    crossover: float = 0.9
    paper: ClassVar[Paper | None] = Paper("deb2002")

    def __post_init__(self) -> None:
        if self.population < 2 or self.mutation < 0 or not 0 <= self.crossover <= 1:
            raise IncompatibleError(
                "population must be 2 or more, mutation 0 or more and crossover in [0, 1], got "
                f"population={self.population!r}, mutation={self.mutation!r}, crossover={self.crossover!r}."
            )

    def run(self, limits: Limits, evaluate: Evaluate, evaluations: int, seed: int) -> None:
        """One generation after the other."""
        with optuna_library("the search 'genetic'") as optuna:
            self._run(optuna, limits, evaluate, evaluations, seed)

    def _run(self, optuna: Any, limits: Limits, evaluate: Evaluate, evaluations: int, seed: int) -> None:
        least = lowest(limits)
        genes = {n: optuna.distributions.IntDistribution(least[n], units) for n, units in limits.blocks.items()}
        sampler = optuna.samplers.NSGAIISampler(
            seed=seed,
            population_size=self.population,
            mutation_prob=min(1.0, self.mutation / len(genes)),
            crossover_prob=self.crossover,
        )
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.enqueue_trial(dict(limits.blocks))
        for number in range(evaluations):
            with private_random(seed + number):
                trial = study.ask(genes)
            shares = {name: trial.params[name] / units for name, units in limits.blocks.items()}
            study.tell(trial, evaluate(project(shares, limits)))

    @classmethod
    def examples(cls) -> list[Genetic]:
        """A small population, and one that mutates much."""
        return [cls(population=6), cls(population=4, mutation=3.0)]
