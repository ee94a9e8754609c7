from dataclasses import replace

import pytest
import torch

from secateur.core.errors import IncompatibleError
from secateur.regularizers import Growing
from secateur.testing import case as cases


def prepared(regularizer):
    subject = cases.plain()
    at = cases.moment(subject)
    regularizer.start(at)
    return subject, at


def by_hand(subject, plan, strength):
    """Entries of linear weights that a plan takes out, by loops over units."""
    total = 0.0
    for name, weight in subject.model.state_dict().items():
        if weight.ndim == 2:
            mask = plan.masks().get(name, torch.ones_like(weight, dtype=torch.bool))
            total += sum(float(w) ** 2 for w, stays in zip(weight.flatten(), mask.flatten(), strict=True) if not stays)
    return 0.5 * strength * total


def test_greg_1():
    regularizer = Growing(delta=0.1, every=2, ceiling=0.25)
    subject, at = prepared(regularizer)
    plan = at.plan_for(0.5)
    seen = []
    for step in range(1, 7):
        seen.append(regularizer.penalty(at).item())
        regularizer.after_step(replace(at, step=step))
    unit = by_hand(subject, plan, 1.0)
    assert seen == pytest.approx([0.1 * unit, 0.1 * unit, 0.2 * unit, 0.2 * unit, 0.25 * unit, 0.25 * unit])


def test_greg_2_charges_everything_first_and_chooses_late():
    regularizer = Growing(delta=0.1, every=1, choose=0.3)
    subject, at = prepared(regularizer)
    first = subject.model[0].weight
    everything = sum(float(p.square().sum()) for p in subject.model.state_dict().values() if p.ndim == 2)
    assert regularizer.penalty(at).item() == pytest.approx(0.05 * everything)
    regularizer.after_step(replace(at, step=1))
    with torch.no_grad():  # another order of filters than at the start
        first.copy_(first.flip(0))
    regularizer.after_step(replace(at, step=2))
    plan = at.plan_for(0.5)
    assert regularizer.penalty(at).item() == pytest.approx(by_hand(subject, plan, 0.1 + 0.1 + 0.1))


def test_what_stays_feels_nothing_and_what_goes_shrinks():
    regularizer = Growing(delta=0.5, every=1)
    subject, at = prepared(regularizer)
    plan = at.plan_for(0.5)
    optimizer = torch.optim.SGD(subject.model.parameters(), lr=0.5)
    before = {n: p.detach().clone() for n, p in subject.model.named_parameters()}
    for step in range(1, 100):
        optimizer.zero_grad()
        regularizer.penalty(at).backward()
        optimizer.step()
        regularizer.after_step(replace(at, step=step))
    for name, keep in plan.masks().items():
        now = dict(subject.model.named_parameters())[name]
        if now.ndim == 2:
            assert torch.equal(now[keep], before[name][keep])
            assert float(now[~keep].detach().abs().max()) < 1e-6


def test_settings_that_make_no_sense():
    with pytest.raises(IncompatibleError, match="every=0"):
        Growing(every=0)
