"""Scores by hand, moments of revision, and a gauge that must not matter."""

import math

import pytest
import torch
from torch import nn

from secateur.core.errors import IncompatibleError, MissingEvidenceError
from secateur.core.moment import Moment
from secateur.surgeries import AdamScaled


def moment(weights, second, *, step=50, steps=100, asked=None):
    """A moment whose plans are the arguments with which they were asked for."""

    def decide(keep, *, saliency=None, again=False):
        asked.append((keep, saliency, again))

    return Moment(
        model=nn.Identity(),
        graph=None,
        parameters={name: nn.Parameter(torch.tensor(w, dtype=torch.float64)) for name, w in weights.items()},
        second={name: torch.tensor(v, dtype=torch.float64) for name, v in second.items()},
        generator=torch.Generator(),
        step=step,
        steps=steps,
        keep=lambda t: 1 - t,
        decide=decide,
    )


def scores(surgery, weights, second):
    asked = []
    surgery.revise(moment(weights, second, asked=asked))
    return asked[0][1]


def test_by_hand():
    found = scores(
        AdamScaled(power=0.5, lines=1.0),
        {"w": [[1.0, -2.0], [0.0, 3.0]], "b": [-2.0]},
        {"w": [[4.0, 1.0], [1.0, 9.0]], "b": [16.0]},
    )
    assert found["b"].tolist() == [8.0]  # 2 x 16^(1/2); biases have no rows
    # |w| sqrt(v) = [[2, 2], [0, 9]]: mean of rows 2, 4.5, of columns 1, 5.5, of all 3.25
    want = [[2 * 2 * 1, 2 * 2 * 5.5], [0, 9 * 4.5 * 5.5]]
    assert torch.allclose(found["w"], torch.tensor(want, dtype=torch.float64) / 3.25**2)


def test_convolutions_are_strong_by_channels():
    w = torch.arange(1.0, 9.0, dtype=torch.float64).reshape(2, 2, 1, 2)
    found = scores(AdamScaled(power=0.5, lines=0.5), {"w": w.tolist()}, {"w": torch.ones_like(w).tolist()})["w"]
    sums = w.sum((2, 3))  # [[3, 7], [11, 15]]
    for o, i, x in ((0, 0, 0), (0, 1, 1), (1, 0, 0), (1, 1, 1)):
        strength = sums[o].mean() * sums[:, i].mean() / sums.mean() ** 2
        assert math.isclose(found[o, i, 0, x], w[o, i, 0, x] * strength.sqrt())


def test_scale_between_layers_does_not_matter():
    """A layer times c has gradients over c, so squared gradients over c squared: with power 1/2 nothing changes."""
    surgery, w, v = AdamScaled(power=0.5), [[1.0, 2.0], [3.0, 4.0]], [[0.1, 0.2], [0.3, 0.4]]
    scaled = [[8 * x for x in row] for row in w], [[x / 64 for x in row] for row in v]
    assert torch.allclose(
        scores(surgery, {"w": w}, {"w": v})["w"], scores(surgery, {"w": scaled[0]}, {"w": scaled[1]})["w"]
    )


def test_keep_follows_the_schedule_and_ends_with_it():
    surgery, asked = AdamScaled(begin=0.2, end=0.7, every=10), []
    for step in (20, 45, 70):
        surgery.revise(moment({"b": [1.0]}, {"b": [1.0]}, step=step, asked=asked))
    assert [round(keep, 12) for keep, _, _ in asked] == [1.0, 0.5, 0.0]
    assert not any(again for _, _, again in asked)  # what is gone stays gone
    due = [s for s in range(1, 101) if surgery.due(moment({}, {}, step=s))]
    assert due == [20, 30, 40, 50, 60, 70]


def test_without_adam():
    with pytest.raises(MissingEvidenceError, match=r"'w'.*Adam"):
        scores(AdamScaled(), {"w": [[1.0]]}, {})


def test_settings():
    with pytest.raises(IncompatibleError, match="begin"):
        AdamScaled(begin=0.5, end=0.5)
