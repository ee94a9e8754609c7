import pytest

from secateur.core.errors import IncompatibleError, MissingEvidenceError, SecateurError
from secateur.core.evidence import Evidence
from secateur.criteria import FPGM, Magnitude, Taylor
from secateur.evidence import Weight as Values
from secateur.granularity import Weight
from secateur.planning import score
from secateur.testing import case as cases


def test_remembers_where_it_came_from():
    subject = cases.normed()
    found = score(subject.graph, Magnitude(p=2), subject.evidence([Values]))
    assert found.criterion == "Magnitude(p=2)"
    assert found.comparable == Magnitude.traits.comparable
    assert set(found.values) == set(subject.graph.cuttable)


def test_not_finite_is_an_error_that_names_the_block():
    subject = cases.normed()
    values = {n: p.detach().clone() for n, p in subject.model.named_parameters()}
    values["3.weight"][0, 0, 0, 0] = float("nan")
    with pytest.raises(SecateurError, match="'3'"):
        score(subject.graph, Magnitude(), Evidence({Values: values}))


def test_missing_evidence():
    subject = cases.normed()
    with pytest.raises(MissingEvidenceError, match="SquaredGradient"):
        score(subject.graph, Taylor(), subject.evidence([Values]))


def test_parts_that_cannot_meet():
    subject = cases.normed()
    with pytest.raises(IncompatibleError, match="FPGM"):
        score(subject.graph, FPGM(), subject.evidence([Values]), granularity=Weight())
