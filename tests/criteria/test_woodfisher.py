import pytest
import torch

from benchmarks.criteria.oracles import woodfisher
from secateur.core.errors import IncompatibleError
from secateur.criteria import OBSFull, WoodFisher
from secateur.testing import case as cases


def test_against_explicit_inverses():
    assert woodfisher.error() < 1e-10


def test_blocks_of_one_are_obd_with_damping():
    subject = cases.plain()
    evidence = subject.evidence(WoodFisher.needs)
    g = evidence[WoodFisher.needs[1]]["2.weight"]
    wanted = subject.model[2].weight.detach() ** 2 * (g.square().mean(0) + 1e-5) / 2
    assert torch.allclose(WoodFisher(block=1).saliency("2.weight", evidence), wanted, rtol=1e-10)


def test_little_damping_does_not_break_it():
    """Far below rounding the inverse is as large as the damping is small, and scores stay above those of one by one."""
    subject = cases.plain()
    evidence = subject.evidence(WoodFisher.needs)
    for how in (WoodFisher(damping=1e-14), OBSFull(damping=1e-14)):
        found = how.saliency("2.weight", evidence)
        assert bool((found >= 0).all()) and bool(torch.isfinite(found).all())


def test_wrong_fields():
    for wrong in ({"block": 0}, {"damping": 0.0}):
        with pytest.raises(IncompatibleError, match="block must be 1 or more and damping above 0"):
            WoodFisher(**wrong)
