import pytest
import torch

from secateur.core.errors import MissingEvidenceError
from secateur.core.evidence import Evidence
from secateur.evidence import InputMean, Weight


def test_reads_are_recorded():
    evidence = Evidence({Weight: {"w": torch.ones(1)}})
    assert evidence.reads == set()
    assert Weight in evidence
    assert InputMean not in evidence
    assert evidence.reads == set()
    assert evidence[Weight]["w"].item() == 1
    assert evidence.reads == {Weight}


def test_missing_names_what_to_change():
    with pytest.raises(
        MissingEvidenceError, match=r"InputMean was read but not collected \(collected: Weight\).*`needs`"
    ):
        Evidence({Weight: {}})[InputMean]
    with pytest.raises(MissingEvidenceError, match="collected: nothing"):
        Evidence({})[InputMean]
