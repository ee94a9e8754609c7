"""The checks of the system contract fail where the promise is broken."""

import pytest

from secateur.apply import masking
from secateur.testing import TINY, system
from secateur.testing.system import OPTIMIZERS, check_trains_alike, prepare, random_plan


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("name", ["instance_norm", "chain", "gate"])
def test_a_wrong_gradient_does_not_train_alike(name, optimizer, monkeypatch):
    """One tensor of the masked network gets a gradient that is wrong by a ten-thousandth."""
    prepared = prepare(TINY[name])
    plan = random_plan(prepared.graph)
    check_trains_alike(prepared, plan, optimizer, None)

    def wrong(model, plan):
        masked = masking.mask(model, plan)
        weight = next(p for p in masked.parameters() if p.ndim > 1)
        weight.register_hook(lambda g: g + 1e-4 * g.abs().max() * (g != 0))
        return masked

    monkeypatch.setattr(system, "mask", wrong)
    with pytest.raises(AssertionError, match=f"tensors differ after training with {optimizer}, clip None: .*weight"):
        check_trains_alike(prepared, plan, optimizer, None)
