"""Names that users write for groups: layers inside one, layers in front of a sum, pinned ones, slips of the pen."""

import pytest
import torch

from secateur.bench.zoo.resnet import ResNet
from secateur.core.whereabouts import known, whereabouts
from secateur.graph.trace import trace


@pytest.fixture(scope="module")
def graph():
    return trace(ResNet(1, 4), torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("stages.0.bn1", "Its units move together with 'stages.0.conv1': name that instead"),
        ("stages.0.bn1.running_var", "together with 'stages.0.conv1':"),
        ("stages.0.conv1.weight", "together with 'stages.0.conv1':"),  # not that of its inputs, which it only takes
        ("stages.0.conv2", "together with 'conv1':"),  # added to the stem
        ("stages.1.shortcut.0", "together with 'stages.1.conv2':"),
        ("stages.0", "together with 'conv1' or 'stages.0.conv1':"),
        ("stages.*.bn1", "together with 'stages.0.conv1' or 'stages.1.conv1' or 'stages.2.conv1':"),
        ("fc.bias", "It may not be cut: its units move together with 'fc' (pinned: is an output of the model)"),
        ("stages.0.convl", "Did you mean 'stages.0.conv1'"),
        ("nowhere", ""),
        ("relu", ""),
    ],
)
def test_where(graph, name, told):
    found = whereabouts(graph, name, list(graph.cuttable))
    assert found.startswith(told) if not told.startswith("together") else told in found
    assert bool(found) == bool(told)


def test_single_weights(graph):
    assert whereabouts(graph, "stages.0.conv1", ["conv1.weight", "stages.0.conv1.weight"]) == (
        "Did you mean 'stages.0.conv1.weight'?"
    )


def test_long_lists_are_counted():
    assert known(["a", "b"]) == "a, b"
    assert known([]) == "none"
    assert known([str(n) for n in range(100)]).endswith("10, 11 and 88 more")
