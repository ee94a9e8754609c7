import pytest
import torch

from benchmarks.criteria.oracles import dcp as oracle
from secateur.core.errors import IncompatibleError
from secateur.core.evidence import Evidence
from secateur.criteria import DCP
from secateur.evidence import Discrimination, InputGram, Weight
from secateur.testing import case as cases


@pytest.fixture(scope="module")
def subject():
    return cases.normed()


@pytest.fixture(scope="module")
def evidence(subject):
    return subject.evidence(DCP.needs)


def test_agrees_with_its_oracle():
    assert oracle.error() < 1e-7


@pytest.fixture(scope="module")
def loud(evidence):
    """Classifiers that ask for anything: noise of the size of the slopes."""
    noise = {
        name: torch.randn(found.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        for name, found in evidence[Discrimination].items()
    }
    return Evidence({**evidence.values, Discrimination: noise}, evidence.samples)


@pytest.mark.parametrize("balance", [0.0, 0.1, 1.0, 1e3])
def test_every_step_is_the_best_one(subject, evidence, loud, balance):
    group = subject.first()
    for known in (evidence, loud):
        assert oracle.regret(subject, group, known, DCP(balance=balance)) < 1e-9


def test_classifiers_have_a_say(subject, loud):
    orders = {tuple(DCP(balance=b).score(subject.first(), loud).tolist()) for b in (0.0, 0.1, 1.0)}
    assert len(orders) > 1


def by_hand(weight, moments, asked):
    """Evidence of one linear layer of two outputs behind three neurons, in the plain network."""
    values = {Weight: {"2.weight": weight}, InputGram: {"2.weight": moments[None]}, Discrimination: {"2.weight": asked}}
    return Evidence(values, 1)


def test_by_hand():
    """Independent inputs with E[x^2] = 1, 4, 1 .. and columns of 4, 1, 2 ..: slopes are -w_k E[x_k^2] / rows."""
    group = cases.plain().first()
    weight = torch.zeros(4, 6, dtype=torch.float64)
    weight[0] = torch.tensor([4.0, 1.5, 2.0, 0.1, 0.0, 3.0])
    moments = torch.diag(torch.tensor([1.0, 4.0, 1.0, 1.0, 9.0, 1.0], dtype=torch.float64))
    nothing = torch.zeros_like(weight)
    # slopes 4, 6, 2, .1, 0, 3
    assert DCP().score(group, by_hand(weight, moments, nothing)).tolist() == [5, 6, 3, 2, 1, 4]
    asked = nothing.clone()
    asked[1, 3] = 2.0  # slopes of unit 3: -.1 / 4 and 2, more than any other's
    assert DCP().score(group, by_hand(weight, moments, asked)).tolist() == [4, 5, 2, 6, 1, 3]
    assert DCP(balance=0.0).score(group, by_hand(weight, moments, asked)).tolist() == [5, 6, 3, 2, 1, 4]


def test_what_is_in_stands_for_what_follows_from_it():
    """Units 0 and 1 see the same, 2 something else: once 1 is in, 0 has nothing to add, though it is larger than 2."""
    group = cases.plain().first()
    weight = torch.zeros(4, 6, dtype=torch.float64)
    weight[0, :3] = torch.tensor([3.0, 4.0, 1.0])
    moments = torch.eye(6, dtype=torch.float64)
    moments[0, 1] = moments[1, 0] = 1.0
    turns = DCP().score(group, by_hand(weight, moments, torch.zeros_like(weight)))
    assert turns[:3].tolist() == [6, 4, 5]  # 0 and 1 have equal slopes of 7; the first of equals comes in


def test_early_stop_ranks_the_rest_by_its_gradients():
    """Unit 0 alone makes up nearly all of the loss; then 1, with the larger gradient, though 2 is left untouched."""
    group = cases.plain().first()
    weight = torch.zeros(4, 6, dtype=torch.float64)
    weight[0, :4] = torch.tensor([1.0, 10.0, 0.5, 0.2])
    moments = torch.eye(6, dtype=torch.float64)
    found = DCP(tolerance=0.5).score(group, by_hand(weight, moments, torch.zeros_like(weight)))
    assert found.tolist() == [5, 6, 4, 3, 2, 1]


def test_unknown_settings():
    with pytest.raises(IncompatibleError, match="balance and tolerance must be 0 or more"):
        DCP(balance=-1.0)
