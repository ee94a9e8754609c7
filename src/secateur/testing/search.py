"""The contract of searches."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

import numpy as np
import torch

from secateur.core.budget import Budget
from secateur.core.contracts import Search
from secateur.granularity import Channel
from secateur.planning.limits import Choices
from secateur.search.base import Attempt
from secateur.testing import case as cases
from secateur.testing.criterion import check_docstring, check_value

_EVALUATIONS = 12


class SearchContract:
    """What every search promises. Subclass it, and parametrise `search` or define it as a fixture."""

    def test_keeps_to_its_evaluations(self, search: Search) -> None:
        """It tries something that fits, and asks no more often than it may."""
        for evaluations in (1, 5, _EVALUATIONS):
            asked: list[Mapping[str, int]] = []

            def evaluate(counts: Mapping[str, int], asked: list[Mapping[str, int]] = asked) -> float:
                asked.append(dict(counts))
                return _quality(counts)

            limits = _limits()
            search.run(limits, evaluate, evaluations, 0)
            assert len(asked) <= evaluations
            assert any(limits.fits(counts) for counts in asked)

    def test_allowed_counts(self, search: Search) -> None:
        """Every choice names all blocks and keeps an allowed number of units of each."""
        for multiple in (1, 4):
            limits = _limits(multiple=multiple)
            for trial in _tried(search, limits).trials:
                assert list(trial.counts) == list(limits.blocks)
                assert all(limits.round(name, count) == count for name, count in trial.counts.items())

    def test_same_seed_same_choices(self, search: Search) -> None:
        """The same seed leads to the same choices, so that a search goes on where it was broken off."""
        assert _tried(search, _limits()).trials == _tried(search, _limits()).trials

    def test_leaves_random_state(self, search: Search) -> None:
        """The global generators of Python, NumPy and torch are as they were."""
        before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]  # noqa: NPY002
        _tried(search, _limits())
        after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]  # noqa: NPY002
        assert before == after

    def test_nothing_to_choose(self, search: Search) -> None:
        """A budget that leaves one choice gets it, and one that leaves everything may get everything."""
        least = _limits()
        tight = Budget(least.spent(least.least) / least.whole, "macs")
        assert dict(_best(_tried(search, _limits(tight)))) == dict(least.least)
        assert _tried(search, _limits(Budget(1.0, "macs"))).best is not None

    def test_value(self, search: Search) -> None:
        """A search is a value: its repr makes it again; it pickles, hashes and copies."""
        check_value(search)

    def test_docstring(self, search: Search) -> None:
        """The docstring states formula and cost, and cites where a paper is named."""
        sections = ("Formula", "Cost") if search.paper is None else ("Paper", "Formula", "Cost", "Differs")
        check_docstring(type(search), sections)
        assert search.paper is None or search.paper.cite()


def _quality(counts: Mapping[str, int]) -> float:
    return 1 - sum(math.exp(-count / (2 + place)) for place, count in enumerate(counts.values())) / len(counts)


def _tried(search: Search, limits: Choices) -> Attempt:
    attempt = Attempt(search, limits, _quality, _EVALUATIONS)
    attempt.run(0)
    return attempt


def _best(attempt: Attempt) -> Mapping[str, int]:
    assert attempt.best is not None
    return attempt.best.counts


def _limits(budget: Budget | None = None, *, multiple: int = 1) -> Choices:
    graph = cases.normed(9, 8).graph
    blocks = {block.name: block for block in Channel().blocks(graph)}
    full = {name: block.units for name, block in blocks.items()}
    return Choices(graph, budget or Budget(0.5, "macs"), blocks, {}, full, multiple)
