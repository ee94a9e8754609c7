"""Norms and means of the entries of patches, against slices in numpy."""

import numpy as np
import pytest
import torch

from benchmarks.criteria.oracles import _layers as o
from secateur.evidence import InputNorm, PatchMean


@pytest.mark.parametrize("name", ["0.weight", "2.weight", "5.weight"])
def test_against_slices(name):
    model, data = o.convolutions(), o.batches()
    _, found = o.evidence_of(model, data, (InputNorm, PatchMean))
    seen = o.seen_by(model, data, name)
    assert o.worst(found[InputNorm][name], np.stack([np.linalg.norm(x, axis=0) for x in seen])) < 1e-12
    assert o.worst(found[PatchMean][name], np.stack([x.mean(0) for x in seen])) < 1e-12


def test_transposed_convolutions_are_left_out():
    model = o.seeded_(torch.nn.Sequential(torch.nn.ConvTranspose2d(2, 3, 2), torch.nn.ReLU(), torch.nn.Conv2d(3, 3, 6),
                                          torch.nn.Flatten()))  # fmt: skip
    _, found = o.evidence_of(model, o.batches(1), (InputNorm, PatchMean))
    assert set(found[InputNorm]) == set(found[PatchMean]) == {"2.weight"}
