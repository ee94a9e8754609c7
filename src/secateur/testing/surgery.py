"""The contract of surgeries."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from secateur.allocation import Uniform
from secateur.apply.masking import is_masked, mask, masks_of, parameters_of
from secateur.core.budget import Budget
from secateur.core.contracts import Granularity, Surgery
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Weight
from secateur.schedules import Geometric
from secateur.testing import case as cases
from secateur.testing.criterion import check_docstring, check_value
from secateur.training import Session

_STEPS = 24
_PER_EPOCH = 6


class SurgeryContract:
    """What every surgery promises. Subclass it, and parametrise `surgery` or define it as a fixture."""

    def test_memory_is_tensors(self, surgery: Surgery) -> None:
        """What is remembered can be saved."""
        memory = _train(surgery).state_dict()["memory"]["surgery"]
        assert all(isinstance(value, Tensor) for value in memory.values())

    def test_masked_to_the_end(self, surgery: Surgery) -> None:
        """What the plan removes is zero when training is over, and the masks that stay are hard ones."""
        session = _train(surgery)
        assert session.plan is not None
        assert is_masked(session.model) == surgery.holds
        if not surgery.holds:
            session.model = mask(session.model, session.plan)
        assert is_masked(session.model)
        parameters = parameters_of(session.model)
        for name, keep in session.plan.masks().items():
            assert not bool(parameters[name].detach()[~keep].any())
        assert {n: int(k.sum()) for n, k in masks_of(session.model).items()} == {
            n: int(k.sum()) for n, k in session.plan.masks().items()
        }

    def test_reached_is_what_is_left(self, surgery: Surgery) -> None:
        """The plan says what share of the weights it keeps."""
        session = _train(surgery)
        assert session.plan is not None
        weights = [p for n, p in parameters_of(session.model).items() if p.ndim > 1]
        left = sum(p.numel() for p in weights) - sum(int((~k).sum()) for k in session.plan.masks().values())
        assert abs(session.plan.provenance.reached - left / sum(p.numel() for p in weights)) < 1e-9

    def test_same_seed_same_masks(self, surgery: Surgery) -> None:
        """Everything random follows from the seed, and the global state is left alone."""
        before = torch.get_rng_state()
        first, second = _train(surgery), _train(surgery)
        assert first.plan == second.plan
        assert torch.equal(before, torch.get_rng_state())

    def test_stop_and_go(self, surgery: Surgery) -> None:
        """A session that is stopped, saved and opened anew ends as one that was not."""
        assert _train(surgery, stop=9).plan == _train(surgery).plan

    def test_value(self, surgery: Surgery) -> None:
        """A surgery is a value: its repr makes it again; it pickles, hashes and copies."""
        check_value(surgery)

    def test_docstring(self, surgery: Surgery) -> None:
        """The docstring states formula and cost, and cites where a paper is named."""
        check_docstring(type(surgery), ("Paper", "Formula", "Shapes", "Cost", "Differs", "Example"))
        assert surgery.paper is not None
        assert surgery.paper.cite()


def recipe(surgery: Surgery, granularity: Granularity | None = None, keep: str = "0.4 weights") -> Recipe:
    """A recipe for sessions of a surgery."""
    return Recipe(
        criterion=Magnitude(),
        granularity=granularity or Weight(),
        allocation=Uniform(),
        schedule=Geometric(steps=4),
        budget=Budget(keep),
        surgery=surgery,
        sparsify=FineTune(),
    )


def _train(surgery: Surgery, stop: int = 0) -> Session:
    """Train the network of the contracts under the surgery; `stop` after so many steps, save, go on."""
    subject = cases.normed()
    model = copy.deepcopy(subject.model).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    session = Session(model, optimizer, recipe(surgery), graph=subject.graph, steps=_STEPS)
    with session:
        _steps(session, subject, 0, stop or _STEPS)
        saved = copy.deepcopy((model.state_dict(), optimizer.state_dict(), session.state_dict()))
    if not stop:
        return session
    model = copy.deepcopy(subject.model).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    session = Session(model, optimizer, recipe(surgery), graph=subject.graph, steps=_STEPS)
    session.load_state_dict(saved[2])
    with session:
        model.load_state_dict(saved[0])
        optimizer.load_state_dict(saved[1])
        _steps(session, subject, stop, _STEPS)
    return session


def _steps(session: Session, subject: cases.Case, first: int, last: int) -> None:
    for number in range(first, last):
        inputs, target = subject.batches[number % len(subject.batches)]
        session.optimizer.zero_grad()
        torch.nn.functional.cross_entropy(session.model(inputs), target).backward()
        session.optimizer.step()
        session.step()
        if (number + 1) % _PER_EPOCH == 0:
            session.epoch()
