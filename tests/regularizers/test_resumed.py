"""A training that was cut off goes on bit for bit, with everything that a regulariser attached or remembers."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import secateur
from secateur.methods import recipe
from secateur.training.checkpoint import Checkpoint


class CutOffError(Exception):
    pass


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))


@pytest.mark.parametrize("name", ["sss", "l0", "sparse_vd", "admm", "greg", "less_is_more"])
def test_resumed(name, tmp_path, monkeypatch):
    torch.manual_seed(1)
    data = [(torch.randn(8, 4), torch.randint(3, (8,))) for _ in range(3)]
    how = recipe(name)
    how = replace(how, sparsify=replace(how.sparsify, epochs=2), finetune=replace(how.finetune, epochs=1), repair=())
    quick = secateur.Run(runtimes=())

    def run(settings):
        return secateur.compress(network(), how, example_inputs=torch.zeros(1, 4), data=data, run=settings)

    whole = run(quick)
    path = tmp_path / "state"

    def cut_off(what, done, total):
        if what == "sparsify" and done == 4:
            raise CutOffError

    monkeypatch.setattr(Checkpoint, "due", property(lambda self: True))  # not every half minute: after every step
    with pytest.raises(CutOffError):
        run(replace(quick, checkpoint=path, progress=cut_off))
    again = run(replace(quick, checkpoint=path, resume=True))
    for a, b in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(a, b)
    once_more = run(replace(quick, checkpoint=path, resume=True))  # from the end of the last stage
    for a, b in zip(whole.model.parameters(), once_more.model.parameters(), strict=True):
        assert torch.equal(a, b)
