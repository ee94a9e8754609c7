"""A teacher beside a training loop: what it does to the loss, and what it leaves behind."""

import copy
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import secateur
import secateur.methods
from secateur.core.errors import IncompatibleError, UnknownNameError
from secateur.core.recipe import FineTune
from secateur.core.rng import generator
from secateur.distill import KD, AttentionTransfer, Distill, FitNets, taught
from secateur.distill.teaching import Asked
from secateur.training import train_


def network(width=4, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(2, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(),
                             nn.Linear(width * 16, 3))  # fmt: skip


X = torch.randn(8, 2, 6, 6, generator=generator(0, "teaching"))
Y = torch.randint(0, 3, (8,), generator=generator(1, "teaching"))


def hooks(model):
    return sum(len(v) for m in model.modules() for k, v in vars(m).items() if k.endswith("_hooks"))


def test_loss_is_the_weighted_sum():
    student, teacher = network(3).eval(), network(4, 1).train()
    how = Distill(by=KD(temperature=2.0), weight=0.7, task=0.2)
    with taught(student, teacher, how) as lesson:
        output = student(X)
        found = lesson.loss(output, Asked(X, Y))
    answer = copy.deepcopy(teacher).eval()(X).detach()
    kl = F.kl_div((output / 2).log_softmax(1), (answer / 2).softmax(1), reduction="batchmean")
    assert torch.allclose(found, 0.7 * 4 * kl + 0.2 * F.cross_entropy(output, Y))


def test_teacher_is_left_alone():
    """Its mode, statistics, gradients and the random state, though it holds batch norm and dropout."""
    student, teacher = network(3), network(4, 1).train()
    before = copy.deepcopy(teacher.state_dict())
    with taught(student, teacher, Distill(by=FitNets(layers=("2",)))) as lesson:
        output = student(X)
        state = torch.get_rng_state()
        lesson.loss(output, Asked(X, Y)).backward()
        assert torch.equal(state, torch.get_rng_state())
    assert teacher.training
    assert all(torch.equal(v, before[k]) for k, v in teacher.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in teacher.parameters())
    assert all(p.grad is not None for p in list(student.parameters())[:2])


@pytest.mark.parametrize("fails", [False, True])
def test_hooks_are_removed(fails):
    student, teacher = network(), network(4, 1)
    how = Distill(by=AttentionTransfer(layers=("0", "2")))
    with pytest.raises(KeyError) if fails else nullcontext(), taught(student, teacher, how):
        assert hooks(student) == 2
        if fails:
            raise KeyError
    assert hooks(student) == hooks(teacher) == 0


def test_unknown_layers():
    how = Distill(by=FitNets(layers=("0", "nowhere")))
    with pytest.raises(UnknownNameError, match="student has no layers 'nowhere'"), taught(network(), network(), how):
        pass


def test_weights_are_checked():
    with pytest.raises(IncompatibleError):
        Distill(weight=0)


class Stream:
    """Batches with a state and no length."""

    def __init__(self):
        self.walks = 0

    def __iter__(self):
        self.walks += 1
        return iter([(X, Y), (X[:4], Y[:4])])

    def state_dict(self):
        return {"walks": self.walks}

    def load_state_dict(self, state):
        self.walks = state["walks"]


def test_training_loop_goes_on_as_it_is():
    """The loop of the package, on batches with a state; the student comes nearer to its teacher."""
    student, teacher = network(2).eval(), network(6, 1).eval()

    def gap():
        with torch.no_grad():
            return float(
                KD().loss(*[type("O", (), {"output": m(X), "features": {}}) for m in (student, teacher)], None)
            )

    before = gap()
    with taught(student, teacher, Distill(weight=1.0, task=0.0)) as lesson:
        batches = lesson.batches(Stream())
        assert batches.state_dict() == {"walks": 0}
        steps = train_(student, batches, FineTune(epochs=15, lr=0.01, optimizer="adam"), loss=lesson.loss)
    assert steps == 30
    assert gap() < 0.7 * before


def test_inputs_of_many_arguments():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(3, 2)

        def forward(self, x, y):
            return {"logits": self.a(x + y)}

    student = Two()
    x = torch.randn(4, 3)
    with taught(student, Two(), loss=lambda out, t: F.cross_entropy(out["logits"], t)) as lesson:
        for inputs, asked in lesson.batches([({"x": x, "y": x}, torch.tensor([0, 1, 0, 1]))]):
            assert lesson.loss(student(**inputs), asked).shape == ()


def test_compress_with_the_network_as_its_own_teacher():
    """The run distils: with all weight on the teacher, targets that are wrong do no harm."""
    model = network(8).eval()
    right = model(X).argmax(1).detach()
    wrong = [(X, (right + 1) % 3)] * 40
    before = copy.deepcopy(model.state_dict())
    recipe = replace(secateur.methods.recipe("li2017"), finetune=FineTune(epochs=1, lr=0.01, optimizer="adam"))
    agree = {}
    for name, how in (("taught", Distill(weight=1.0, task=0.0)), ("plain", None)):
        run = secateur.Run(distill=how, runtimes=())
        small = secateur.compress(model, recipe, example_inputs=X[:1], budget="0.6 macs", data=wrong, run=run).model
        agree[name] = float((small.eval()(X).argmax(1) == right).float().mean())
        assert hooks(small) == 0
    assert agree["taught"] > 0.8 > agree["plain"]
    assert hooks(model) == 0
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
