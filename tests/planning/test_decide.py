"""Deciding about what is known, and leaving alone what is frozen."""

import pytest

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.errors import IncompatibleError
from secateur.criteria import SparseGPT, Wanda
from secateur.evidence import Weight as WeightEvidence
from secateur.granularity import Weight
from secateur.planning import Constraints, decide
from secateur.testing import case as cases


def test_of_what_is_frozen_nothing_need_be_known():
    """A layer without a record of its inputs (a transposed convolution, say) is in nobody's way once it is frozen."""
    subject = cases.plain()
    names = [b.name for b in Weight().blocks(subject.graph)]
    found = subject.evidence(Wanda.needs)
    for quantity in Wanda.needs:
        if quantity is not WeightEvidence:
            found.values[quantity].pop(names[1])
    with pytest.raises(IncompatibleError, match=names[1]):
        decide(subject.graph, Wanda(), found, Budget("0.7 weights"), granularity=Weight())
    rules = Constraints(frozen=(names[1],))
    made = decide(subject.graph, Wanda(), found, Budget("0.7 weights"), granularity=Weight(), constraints=rules)
    assert bool(made.kept[names[1]].all())
    assert not bool(made.kept[names[0]].all())


def test_a_criterion_that_must_know_the_share_is_told_the_budget():
    subject = cases.plain()
    found = subject.evidence(SparseGPT.needs)
    for keep in (0.3, 0.75):
        made = decide(subject.graph, SparseGPT(), found, Budget(keep, "weights"), Uniform(), granularity=Weight())
        wanted = decide(
            subject.graph, SparseGPT(keep=keep), found, Budget(keep, "weights"), Uniform(), granularity=Weight()
        )
        assert made == wanted
        assert f"keep={keep}" in made.provenance.criterion
