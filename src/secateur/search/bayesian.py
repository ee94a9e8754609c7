"""Bayesian optimisation of the share that each block keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from secateur.core.contracts import Evaluate, Limits, Search
from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper
from secateur.core.rng import private_random
from secateur.search.base import optuna_library, project, search, stages


@search("bayesian")
@dataclass(frozen=True, kw_only=True)
class Bayesian(Search):
    """A model of quality as a function of shares says where to try next.

    Paper:   Chen et al., *Constraint-Aware Deep Neural Network Compression*, ECCV 2018
    Formula: x in [0, 1]^d, one entry for every block or run of neighbouring blocks; counts in proportion to x that just
             fit; the first point is x = 1 (uniform), then `warmup * d` by lot, then each where a Gaussian process (log
             expected improvement) or a tree of Parzen estimators expects most
    Cost:    as many evaluations as there are; a Gaussian process over n points takes about n^3 beside each
    Differs: the paper handles a black-box constraint by a second model that is tightened step by step. Here the cost is
             known exactly, so that every point is scaled to the budget and no evaluation is spent beyond it

    Needs Optuna: `pip install secateur[search]`.

    Attributes:
        model: "gp", a Gaussian process, or "tpe", which is quicker and wants more evaluations.
        dims: at most so many numbers are sought; with more blocks, neighbours share one.
        warmup: points by lot before the model is asked, for each number that is sought.

    Example:
        >>> Bayesian(dims=4)
        Bayesian(model='gp', dims=4, warmup=5)
    """

    model: Literal["gp", "tpe"] = "gp"
    dims: int = 12
    warmup: int = 5
    paper: ClassVar[Paper | None] = Paper("chen2018")

    def __post_init__(self) -> None:
        if self.model not in ("gp", "tpe") or self.dims < 1 or self.warmup < 1:
            raise IncompatibleError(
                "model must be 'gp' or 'tpe', dims and warmup 1 or more, "
                f"got model={self.model!r}, dims={self.dims!r}, warmup={self.warmup!r}."
            )

    def run(self, limits: Limits, evaluate: Evaluate, evaluations: int, seed: int) -> None:
        """Ask the model, try, tell the model."""
        with optuna_library("the search 'bayesian'") as optuna:
            self._run(optuna, limits, evaluate, evaluations, seed)

    def _run(self, optuna: Any, limits: Limits, evaluate: Evaluate, evaluations: int, seed: int) -> None:
        parts = stages(list(limits.blocks), self.dims)
        box = {str(n): optuna.distributions.FloatDistribution(0.0, 1.0) for n in range(len(parts))}
        study = optuna.create_study(direction="maximize", sampler=self._sampler(optuna, len(parts), seed))
        study.enqueue_trial(dict.fromkeys(box, 1.0))
        for number in range(evaluations):
            with private_random(seed + number):
                trial = study.ask(box)
            shares = {name: trial.params[str(n)] for n, part in enumerate(parts) for name in part}
            study.tell(trial, evaluate(project(shares, limits)))

    def _sampler(self, optuna: Any, dims: int, seed: int) -> Any:
        warmup = self.warmup * dims
        if self.model == "gp":
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=warmup, deterministic_objective=True)
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=warmup, multivariate=True)

    @classmethod
    def examples(cls) -> list[Bayesian]:
        """Both models."""
        return [cls(model="gp", warmup=2), cls(model="tpe", warmup=2)]
