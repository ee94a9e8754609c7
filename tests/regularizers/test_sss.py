from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from secateur.core.errors import IncompatibleError
from secateur.core.recipe import FineTune
from secateur.graph.trace import trace
from secateur.methods import recipe
from secateur.regularizers import SSS
from secateur.regularizers.gates import block_gates, unit_gates
from secateur.testing import case as cases
from secateur.testing.models import TINY
from secateur.testing.system import prepare
from secateur.training import Session

SCALE = "secateur_channel_scale"


def outputs(subject):
    with torch.no_grad():
        return subject.model(subject.batches[0][0])


@pytest.mark.parametrize("make", [cases.normed, cases.plain, cases.folding, cases.residual])
@pytest.mark.parametrize("over", ["channel", "block"])
def test_baking_changes_nothing(make, over):
    """Some scales zero, some not: the network computes the same with and without them."""
    subject = make()
    if over == "block" and not subject.graph.blocks:
        with (
            pytest.raises(IncompatibleError, match="no blocks that a scale"),
            SSS(over=over).attach(subject.model, subject.graph),
        ):
            pass
        return
    first = outputs(subject)
    with SSS(over=over).attach(subject.model, subject.graph):
        assert torch.equal(outputs(subject), first)
        scales = [p for n, p in subject.model.named_parameters() if "secateur_" in n]
        with torch.no_grad():
            for number, scale in enumerate(scales):
                scale.copy_(torch.linspace(-0.5, 2, len(scale)) * (1 if number % 2 else 0.7))
                scale[0] = 0
        changed = outputs(subject)
        assert not torch.allclose(changed, first)
    assert torch.allclose(outputs(subject), changed, atol=1e-12)
    assert not [n for n in subject.model.state_dict() if "secateur_" in n]


@pytest.mark.parametrize("name", TINY)
def test_every_tiny_network(name):
    """Whatever is read where: what was scaled while training is what comes out of baking."""
    prepared = prepare(TINY[name])
    model, graph, example = prepared.model, prepared.graph, prepared.examples[0]
    for over, find in (("channel", unit_gates), ("block", block_gates)):
        if not find(model, graph):
            continue
        with SSS(over=over).attach(model, graph):
            with torch.no_grad():
                for n, p in model.named_parameters():
                    if "secateur_" in n:
                        p.copy_(torch.linspace(0, 1.5, len(p)))
            changed = example.call(model)
        again = example.call(model)
        for a, b in zip(_tensors(changed), _tensors(again), strict=True):
            assert torch.allclose(a, b, atol=1e-9)


def _tensors(output):
    if isinstance(output, torch.Tensor):
        return [output]
    values = output.values() if isinstance(output, dict) else output
    return [t for value in values for t in _tensors(value)]


def test_scale_zero_silences_the_unit_everywhere():
    subject = cases.normed()
    with SSS().attach(subject.model, subject.graph), torch.no_grad():
        subject.model[3].get_parameter(SCALE)[2] = 0
    assert not subject.model[3].weight[:, 2].any()
    for part in (subject.model[0].weight, subject.model[0].bias, subject.model[1].weight, subject.model[1].bias):
        assert not part[2].any()


def test_a_block_with_scale_zero_is_the_identity():
    subject = cases.residual()
    name = subject.graph.blocks[0]
    with SSS(over="block").attach(subject.model, subject.graph):
        gate = block_gates(subject.model, subject.graph)[0]
        assert gate.home.startswith(name)
        with torch.no_grad():
            subject.model.get_parameter(f"{gate.home}.secateur_block_scale").zero_()
    block = subject.model.get_submodule(name)
    x = torch.rand(2, 4, 4, 4, dtype=torch.float64)
    assert torch.equal(block(x), x)
    assert not any(p.any() for p in block.parameters())


def test_scales_by_hand():
    """The three lines of the paper in numpy, while SGD with momentum moves the weights as it likes."""
    subject = cases.normed()
    x, _ = subject.batches[0]
    how = replace(recipe("li2017"), regularizer=SSS(strength=3.0), sparsify=FineTune())
    optimizer = torch.optim.SGD(subject.model.parameters(), lr=0.02, momentum=0.9)
    with Session(subject.model, optimizer, how, graph=subject.graph, steps=40) as session:
        scale = subject.model[3].get_parameter(SCALE)
        wanted, v = np.ones(6), np.zeros(6)
        for _ in range(40):
            optimizer.zero_grad()
            loss = subject.model(x).square().mean() * 0.01 + session.penalty()
            loss.backward()
            z = wanted - 0.02 * scale.grad.numpy()
            mapped = np.sign(z) * np.maximum(np.abs(z) - 0.06, 0)
            v = mapped - wanted + 0.9 * v
            wanted = mapped + 0.9 * v
            optimizer.step()
            session.step()
            assert np.allclose(scale.detach().numpy(), wanted, atol=1e-12)
        assert (scale == 0).any()
        dead = (scale == 0).tolist()
    assert [not subject.model[0].weight[u].any() for u in range(6)] == dead


def test_streams_under_layer_norm_have_no_scales():
    subject = cases.attentive(heads=False)
    exact = {gate.name for gate in unit_gates(subject.model, subject.graph)}
    assert exact
    assert all(subject.graph.groups[name].exact for name in exact)


def test_an_error_leaves_the_weights_alone():
    subject = cases.normed()
    before = {n: t.clone() for n, t in subject.model.state_dict().items()}
    with pytest.raises(KeyError), SSS().attach(subject.model, subject.graph):
        subject.model[3].get_parameter(SCALE).data.zero_()
        raise KeyError
    assert all(torch.equal(t, before[n]) for n, t in subject.model.state_dict().items())


def test_two_at_once_are_refused():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    graph = trace(model, torch.zeros(1, 2))
    with (
        SSS().attach(model, graph),
        pytest.raises(IncompatibleError, match="two sessions"),
        SSS().attach(model, graph),
    ):
        pass
