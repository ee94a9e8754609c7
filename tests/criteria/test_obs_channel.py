import pytest
import torch

from benchmarks.criteria.oracles import obs_channel
from secateur.core.errors import IncompatibleError
from secateur.core.evidence import Evidence
from secateur.criteria import OBSChannel
from secateur.evidence import InputGram, Weight
from secateur.testing import case as cases


def test_against_solving_anew_without_each_channel():
    assert obs_channel.error() < 1e-11


def test_one_column_is_the_surgeon_of_single_weights():
    """A unit that owns one column costs what its weights cost, row by row."""
    from secateur.criteria import OBS

    subject = cases.plain()
    evidence = subject.evidence(OBS.needs)
    found = OBSChannel().score(subject.first(), evidence)
    assert torch.allclose(found, OBS().saliency("2.weight", evidence).sum(0), rtol=1e-10)


def test_no_layer_consumes_the_group():
    with pytest.raises(IncompatibleError, match="reads '0'"):
        OBSChannel().score(cases.plain().first(), Evidence({InputGram: {}, Weight: {}}, 1))
