import pytest
import torch
from torch import nn

from benchmarks.criteria.oracles import batch_norm as oracle
from secateur.apply.masking import mask
from secateur.core.contracts import Known
from secateur.core.errors import IncompatibleError, MissingEvidenceError
from secateur.core.evidence import Evidence
from secateur.core.plan import PruningPlan
from secateur.granularity import Channel
from secateur.repair import BatchNorm
from secateur.testing import case as cases


def cut(subject):
    kept = {"0": torch.tensor([True, False, True, True, False, True])}
    plan = PruningPlan(kept, Channel(), subject.graph)
    return mask(subject.model, plan), plan


def repair(subject, student, plan):
    BatchNorm().repair_(student, subject.model, plan, Known(Evidence({}), subject.batches))


def test_statistics_are_those_of_the_batches():
    subject = cases.normed()
    student, plan = cut(subject)
    repair(subject, student, plan)
    first = [student[0](x) for x, _ in subject.batches]
    assert torch.allclose(student[1].running_mean, torch.stack([h.mean((0, 2, 3)) for h in first]).mean(0), atol=1e-12)
    assert torch.allclose(student[1].running_var, torch.stack([h.var((0, 2, 3)) for h in first]).mean(0), atol=1e-12)
    # the second norm sees what the first makes of a batch with the statistics of that batch
    second = [student[3](torch.relu(_normalised(student[1], h))) for h in first]
    assert torch.allclose(student[4].running_mean, torch.stack([h.mean((0, 2, 3)) for h in second]).mean(0), atol=1e-10)
    assert torch.allclose(student[4].running_var, torch.stack([h.var((0, 2, 3)) for h in second]).mean(0), atol=1e-10)


def _normalised(norm, h):
    mean, var = h.mean((0, 2, 3), keepdim=True), h.var((0, 2, 3), keepdim=True, correction=0)
    shape = (1, -1, 1, 1)
    return (h - mean) / (var + norm.eps).sqrt() * norm.weight.view(shape) + norm.bias.view(shape)


def test_only_so_many_batches():
    subject = cases.normed()
    student, plan = cut(subject)
    known = Known(Evidence({}), [subject.batches[0], ("never read", None)])
    BatchNorm(batches=1).repair_(student, subject.model, plan, known)
    h = student[0](subject.batches[0][0])
    assert torch.allclose(student[1].running_mean, h.mean((0, 2, 3)), atol=1e-12)


def test_modes_and_momenta_are_put_back_also_after_an_error():
    subject = cases.normed()
    student, plan = cut(subject)
    student.train()
    student[4].eval()
    student[1].momentum = 0.3
    for batches in (subject.batches, [("not a tensor but a string", None)]):
        try:
            BatchNorm().repair_(student, subject.model, plan, Known(Evidence({}), batches))
        except Exception:
            assert batches is not subject.batches
        assert [student.training, student[1].training, student[4].training] == [True, True, False]
        assert student[1].momentum == 0.3


def test_dropout_stays_off():
    subject = cases.normed()
    student, plan = cut(subject)
    student[2] = nn.Sequential(nn.ReLU(), nn.Dropout(0.5))
    reference, _ = cut(subject)
    BatchNorm().repair_(student, subject.model, plan, Known(Evidence({}), subject.batches))
    BatchNorm().repair_(reference, subject.model, plan, Known(Evidence({}), subject.batches))
    assert torch.equal(student[4].running_mean, reference[4].running_mean)


def test_nothing_cut_nothing_done():
    subject = cases.normed()
    whole = PruningPlan({"0": torch.ones(6, dtype=torch.bool)}, Channel(), subject.graph)
    student = mask(subject.model, whole)
    student[1].running_mean.add_(1)
    wanted = student[1].running_mean.clone()
    BatchNorm().repair_(student, subject.model, whole, Known(Evidence({}), subject.batches))
    assert torch.equal(student[1].running_mean, wanted)


def test_no_batches_is_an_error_and_wipes_nothing():
    subject = cases.normed()
    student, plan = cut(subject)
    wanted = student[4].running_mean.clone()
    with pytest.raises(MissingEvidenceError, match="no batches"):
        BatchNorm().repair_(student, subject.model, plan, Known(Evidence({}), []))
    assert torch.equal(student[4].running_mean, wanted)


def test_zero_batches_are_refused():
    with pytest.raises(IncompatibleError, match="batches must be 1 or more"):
        BatchNorm(batches=0)


def test_against_the_oracle():
    assert oracle.error() < 1e-12
