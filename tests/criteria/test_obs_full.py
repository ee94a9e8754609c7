import pytest

from benchmarks.criteria.oracles import obs_full
from secateur.core.errors import IncompatibleError
from secateur.criteria import OBSFull
from secateur.criteria import obs_full as module
from secateur.testing import case as cases


def test_against_the_recursion():
    assert obs_full.error() < 1e-10


def test_large_networks_are_refused(monkeypatch):
    monkeypatch.setattr(module, "LIMIT", 50)
    subject = cases.plain()
    with pytest.raises(IncompatibleError, match=r"79 rows, and 50 are allowed.*woodfisher"):
        OBSFull().saliency("0.weight", subject.evidence(OBSFull.needs))
    with pytest.raises(IncompatibleError, match="damping must be above 0"):
        OBSFull(damping=0.0)
