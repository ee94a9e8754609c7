"""Evaluations as a study of Optuna's: in a file, or in a database that others look at too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from secateur.core.errors import SecateurError, UnsupportedError
from secateur.search.base import optuna_library
from secateur.searching.memory import Found, Problem, Store, check_same


@dataclass(slots=True)
class Study(Store):
    """One study; each evaluation is a trial whose parameters are the kept units of the blocks.

    Attributes:
        url: `sqlite:///file.db`, `postgresql://user@host/name`, or whatever else SQLAlchemy knows.
        name: of the study.
        problem: what the evaluations are about.
        units: of every block.
    """

    url: str
    name: str
    problem: Problem
    units: Mapping[str, int]
    _study: Any = field(default=None, init=False)

    def __post_init__(self) -> None:
        with optuna_library("a study") as optuna:
            try:
                self._study = optuna.create_study(
                    storage=self.url, study_name=self.name, direction="maximize", load_if_exists=True
                )
            except (ImportError, OSError, ValueError, optuna.exceptions.StorageInternalError) as error:
                raise _unreachable(self.url, error) from error
        there = self._study.user_attrs.get("problem")
        if there is None:
            self._study.set_user_attr("problem", dict(self.problem))
        else:
            check_same(there, self.problem, f"the study {self.name!r} in {_shown(self.url)}")

    def read(self) -> list[tuple[dict[str, int], Found]]:
        """All trials that were finished."""
        done = [t for t in self._study.get_trials(deepcopy=False) if t.value is not None]
        return [(dict(t.params), Found(t.value, t.user_attrs.get("seconds", 0.0))) for t in done]

    def add(self, counts: Mapping[str, int], found: Found) -> None:
        """One more trial."""
        with optuna_library("a study") as optuna:
            kinds = {name: optuna.distributions.IntDistribution(1, units) for name, units in self.units.items()}
            trial = optuna.trial.create_trial(
                params=dict(counts),
                distributions=kinds,
                value=found.quality,
                user_attrs={"seconds": found.seconds},
            )
            self._study.add_trial(trial)


def _shown(url: str) -> str:
    """The address without a password."""
    head, at, tail = url.rpartition("@")
    user = head.partition("://")[2].partition(":")[0]
    return f"{head.partition('://')[0]}://{user}@{tail}" if at else url


def _unreachable(url: str, error: Exception) -> SecateurError:
    missing = error if isinstance(error, ImportError) else error.__cause__
    if isinstance(missing, ImportError):
        return UnsupportedError(
            f"the storage {_shown(url)} needs a database driver that is not installed ({missing}). "
            "For PostgreSQL run pip install psycopg2-binary, or psycopg[binary] with a URL postgresql+psycopg://."
        )
    return UnsupportedError(
        f"the storage {_shown(url)} cannot be opened ({error}). Write sqlite:///file.db or "
        "postgresql://user@host/name, and check that the server runs."
    )
