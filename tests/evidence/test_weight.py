import torch

from secateur.evidence import Weight, collect
from secateur.testing import case as cases


def test_holds_every_parameter():
    subject = cases.normed()
    found = collect(subject.model, None, [Weight], graph=subject.graph)[Weight]
    assert set(found) == {name for name, _ in subject.model.named_parameters()}
    assert all(torch.equal(found[name], p.detach()) for name, p in subject.model.named_parameters())


def test_half_precision_is_widened_exactly():
    half = cases.in_precision(cases.normed(), torch.bfloat16)
    found = collect(half.model, None, [Weight], graph=half.graph)[Weight]
    assert all(v.dtype == torch.float32 for v in found.values())
    assert all(torch.equal(found[name].bfloat16(), p.detach()) for name, p in half.model.named_parameters())
