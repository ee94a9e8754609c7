import torch

from benchmarks.criteria.oracles import random as oracle
from secateur.core.evidence import Evidence
from secateur.core.rng import generator
from secateur.criteria import Random
from secateur.evidence import Weight


def evidence(shape=(2000,), names=("a", "b")):
    return Evidence({Weight: {name: torch.zeros(shape) for name in names}})


def test_depends_on_seed_and_name_only():
    one = Random(seed=1).saliency("a", evidence())
    assert torch.equal(one, Random(seed=1).saliency("a", Evidence({Weight: {"a": torch.ones(2000)}})))
    assert not torch.equal(one, Random(seed=2).saliency("a", evidence()))
    assert not torch.equal(one, Random(seed=1).saliency("b", evidence()))


def test_uniform_between_zero_and_one():
    found = Random().saliency("a", evidence())
    assert float(found.min()) >= 0 and float(found.max()) < 1
    counts = torch.histc(found, bins=10, min=0, max=1)
    # chi-square with 9 degrees of freedom: above 27.9 once in a thousand; the seed is fixed
    assert float(((counts - 200) ** 2 / 200).sum()) < 27.9


def test_names_are_uncorrelated():
    a, b = (Random().saliency(name, evidence()) for name in "ab")
    assert abs(float(torch.corrcoef(torch.stack([a, b]))[0, 1])) < 0.1


def test_the_stream_is_that_of_seed_and_name():
    wanted = torch.rand(3, generator=generator(7, "random", "a"))
    assert torch.equal(Random(seed=7).saliency("a", evidence((3,))), wanted)


def test_numbers_are_those_of_the_twister():
    assert oracle.error() == 0
