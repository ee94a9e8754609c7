"""Scans of one block at a time, against plans by hand."""

import pytest
import torch
from torch import nn

import secateur
from secateur import SearchRun
from secateur.apply.masking import mask
from secateur.core.errors import IncompatibleError
from secateur.criteria import Magnitude
from secateur.evidence import Weight, collect
from secateur.granularity import Channel
from secateur.planning import plan_by_hand, score

HOW = (Magnitude(p=1), Channel())


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3)).eval()


@pytest.fixture
def x():
    return torch.randn(32, 6, generator=torch.Generator().manual_seed(1))


def likeness(model, x):
    wanted = model(x).detach()
    return lambda network: 1 - float((network(x).detach() - wanted).square().mean())


def scanned(model, x, quality=None, **changes):
    run = SearchRun(repair=(), **changes)
    judge = quality or likeness(model, x)
    return secateur.sensitivity(model, HOW, example_inputs=x[:1], quality=judge, shares=(0.25, 0.5, 0.75), run=run)


def test_every_point_by_hand(model, x):
    found = scanned(model, x)
    graph = secateur.trace(model, x[:1])
    values = score(graph, HOW[0], collect(model, None, (Weight,), graph=graph)).values
    assert found.dense == 1
    assert {name: [share for share, _ in points] for name, points in found.curves.items()} == {
        "0": [0.75, 0.5, 0.25],
        "2": [0.75, 0.5, 0.25],
    }
    for name, points in found.curves.items():
        for share, quality in points:
            keep = values[name].topk(int(share * len(values[name]))).indices.tolist()
            assert quality == pytest.approx(
                likeness(model, x)(mask(model, plan_by_hand(graph, {name: keep}))), rel=1e-5
            )


def test_allocations_from_it(model, x):
    found = scanned(model, x)
    graph = secateur.trace(model, x[:1])
    scores = score(graph, HOW[0], collect(model, None, (Weight,), graph=graph))
    for how in (found.allocation(), found.least_loss()):
        made = secateur.plan(graph, scores, secateur.Budget("0.5 params"), how)
        assert made.provenance.reached <= 0.5
    assert dict(found.losses)["0"][0] == (1.0, 0.0)
    assert dict(found.losses)["0"][1] == (0.75, 1 - found.curves["0"][0][1])


def test_goes_on(model, x, tmp_path):
    judge, calls = likeness(model, x), []

    def impatient(network):
        calls.append(network)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return judge(network)

    part = scanned(model, x, impatient, out=tmp_path)
    assert part.broken_off and sum(map(len, part.curves.values())) == 2
    whole = scanned(model, x, out=tmp_path)
    assert not whole.broken_off
    assert whole.curves == scanned(model, x).curves
    assert whole.curves["0"][:2] == part.curves["0"]


def test_shares_are_checked(model, x):
    with pytest.raises(IncompatibleError, match=r"shares must be in \(0, 1\), got \[1.5\]"):
        secateur.sensitivity(model, HOW, example_inputs=x[:1], quality=lambda m: 0, shares=(0.5, 1.5))
