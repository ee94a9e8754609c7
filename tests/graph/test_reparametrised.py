"""Weights that are computed before every use: weight norm, spectral norm, and parametrisations of the user's own."""

import copy
from functools import cache

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize

from secateur.apply.masking import mask, mask_, masks_of, unmask_
from secateur.apply.shrinking import shrink
from secateur.files.saving import load, save
from secateur.testing.models import Tiny
from secateur.testing.nets import Net, floats, sound, traced, widths
from secateur.testing.system import SystemContract, random_plan, untouched

X, IMAGE = floats(2, 3, 4), floats(2, 3, 6, 6)
weight_norm, spectral_norm = parametrizations.weight_norm, parametrizations.spectral_norm


def old_weight_norm(layer):
    with pytest.warns(FutureWarning, match="deprecated"):
        return nn.utils.weight_norm(layer)


class Elementwise(nn.Module):
    """A parametrisation by any function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, w):
        return self.function(w)


def parametrised(layer, function, name="weight"):
    return parametrize.register_parametrization(layer, name, Elementwise(function))


def three(first, second, third, activation=torch.sigmoid):
    def run(m, x):
        return m.c(activation(m.l(activation(m.a(x)))))

    return {"run": run, "a": first, "l": second, "c": third}


def linears(norm):
    return three(norm(nn.Linear(4, 6)), norm(nn.Linear(6, 5)), nn.Linear(5, 3)), X


def convolutions(norm):
    layers = norm(nn.Conv2d(3, 6, 3)), norm(nn.ConvTranspose2d(6, 5, 3)), norm(nn.Conv2d(5, 3, 1))
    return three(*layers), IMAGE


NETS = {
    "weight norm": lambda: linears(weight_norm),
    "weight norm over the other dim": lambda: linears(lambda x: weight_norm(x, dim=1)),
    "weight norm over all dims": lambda: linears(lambda x: weight_norm(x, dim=None)),
    "weight norm of a bias": lambda: linears(lambda x: weight_norm(weight_norm(x), "bias")),
    "weight norm of convolutions": lambda: convolutions(weight_norm),
    "weight norm over the middle of convolutions": lambda: convolutions(lambda x: weight_norm(x, dim=1)),
    "spectral norm": lambda: linears(spectral_norm),
    "spectral norm of convolutions": lambda: convolutions(spectral_norm),
    "old weight norm": lambda: linears(old_weight_norm),
    "old weight norm of convolutions": lambda: convolutions(old_weight_norm),
    "old spectral norm": lambda: linears(nn.utils.spectral_norm),
    "old spectral norm of convolutions": lambda: convolutions(nn.utils.spectral_norm),
    "squares": lambda: linears(lambda x: parametrised(x, lambda w: w * w.abs())),
    "two in a row": lambda: linears(lambda x: parametrised(parametrised(x, torch.sin), lambda w: 2 * w)),
}


@pytest.mark.parametrize("name", NETS)
def test_cut(name):
    layers, x = NETS[name]()
    model, graph = traced(layers.pop("run"), x, **layers)
    assert sorted(graph.cuttable[g].units for g in graph.cuttable) == [5, 6]
    assert not graph.unknown
    sound(model, graph, x)


@pytest.mark.parametrize(
    "name",
    ["weight norm", "weight norm of convolutions", "spectral norm", "old weight norm", "old spectral norm", "squares"],
)
class TestSystem(SystemContract):
    """Masked and shrunk networks train alike, too, and the library leaves the user's classes alone."""

    @pytest.fixture
    def network(self, name):
        return tiny(name)


@cache
def tiny(name):
    """A network that is built anew on every call, and traced once."""

    def build():
        layers, _ = NETS[name]()
        return Net(layers.pop("run"), **layers)

    return Tiny(build, lambda: IMAGE if "convolutions" in name else X, {})


def test_names_and_integers():
    layers, x = convolutions(weight_norm)
    model, graph = traced(layers.pop("run"), x, **layers)
    assert widths(graph) == {"a": 6, "l": 5}
    small = shrink(model, random_plan(graph).keep("a", [0, 2]).keep("l", [1, 3, 4]))
    assert (small.a.out_channels, small.l.in_channels, small.l.out_channels, small.c.in_channels) == (2, 2, 3, 3)
    roles = {(s.tensor.removeprefix("a.parametrizations.weight."), s.dim): str(s.role) for s in graph.groups["a"].slots}
    assert (roles["original0", 0], roles["original1", 0]) == ("produces", "directs")


def test_depthwise():
    model, graph = traced(
        lambda m, x: m.c(m.l(m.a(x).sigmoid()).relu()),
        IMAGE,
        a=weight_norm(nn.Conv2d(3, 6, 3)),
        l=weight_norm(nn.Conv2d(6, 6, 3, groups=6)),
        c=nn.Conv2d(6, 3, 1),
    )
    assert widths(graph) == {"a": 6}
    sound(model, graph, IMAGE)
    assert shrink(model, random_plan(graph).keep("a", [0, 2])).l.groups == 2


@pytest.mark.parametrize("names", [("weight_hh_l0",), ("weight_hh_l0", "weight_ih_l0", "bias_ih_l0")])
def test_recurrent(names):
    layer = nn.GRU(6, 5)
    for name in names:
        layer = weight_norm(layer, name)
    model, graph = traced(lambda m, x: m.c(m.l(m.a(x))[0]), X, a=nn.Linear(4, 6), l=layer, c=nn.Linear(5, 3))
    assert sorted(widths(graph).values()) == [5, 6]
    sound(model, graph, X)


class TestPinned:
    """What is not zero for a masked parameter, or not a number, or mixes units."""

    @pytest.mark.parametrize(
        ("function", "why"),
        [
            (torch.exp, "sum over activations"),
            (F.softplus, "sum over activations"),
            (
                lambda w: w / w.norm(dim=0, keepdim=True),
                "infinite or NaN for a dead unit: operator aten.div at l.param",
            ),
            (lambda w: w.tril(), "aten.tril at l.parametrizations.weight.0"),
        ],
    )
    def test_consumers(self, function, why):
        layers = three(nn.Linear(4, 6), parametrised(nn.Linear(6, 5), function), nn.Linear(5, 3))
        model, graph = traced(layers.pop("run"), X, **layers)
        found = [g for g in graph.groups.values() if any(s.tensor.startswith("l.param") for s in g.slots)]
        assert any(why in g.pinned for g in found) and graph.groups["a"].pinned
        sound(model, graph, X)

    def test_a_consumer_that_is_not_zero_may_read_zeros(self):
        layers = three(nn.Linear(4, 6), parametrised(nn.Linear(6, 5), torch.exp), nn.Linear(5, 3), torch.relu)
        model, graph = traced(layers.pop("run"), X, **layers)
        assert widths(graph) == {"a": 6, "l": 5}
        sound(model, graph, X)

    def test_rows_of_length_one(self):
        layers = three(
            nn.Linear(4, 6), parametrised(nn.Linear(6, 5), lambda w: w / w.norm(dim=1, keepdim=True)), nn.Linear(5, 3)
        )
        model, graph = traced(layers.pop("run"), X, **layers)
        assert "infinite or NaN" in graph.groups["l"].pinned and widths(graph) == {"a": 6}
        sound(model, graph, X)

    def test_orthogonal(self):
        """Inputs may go, with rows of the matrix that is multiplied last; what comes out is mixed by reflections."""
        layers = three(nn.Linear(4, 6), parametrizations.orthogonal(nn.Linear(6, 5)), nn.Linear(5, 3))
        model, graph = traced(layers.pop("run"), X, **layers)
        assert "operator aten.tril at l.parametrizations.weight.0" in graph.groups["l"].pinned
        assert widths(graph) == {"a": 6}
        sound(model, graph, X)

    def test_a_direction_that_is_read_elsewhere(self):
        """Left unmasked for weight norm, it would not be zero there."""
        model, graph = traced(
            lambda m, x: m.c(m.l(m.a(x))) + m.l.parametrizations.weight.original1.sum(),
            X,
            a=nn.Linear(4, 6),
            l=weight_norm(nn.Linear(6, 5)),
            c=nn.Linear(5, 3),
        )
        assert "operator aten.sum" in graph.groups["l"].pinned and widths(graph) == {"a": 6}
        sound(model, graph, X)

    def test_a_direction_that_is_computed(self):
        class Squared(nn.Module):
            def __init__(self):
                super().__init__()
                self.g, self.v = nn.Parameter(torch.ones(5, 1)), nn.Parameter(torch.ones(5, 6))

            def forward(self, x):
                return F.linear(x, torch._weight_norm(self.v * self.v.abs(), self.g, 0))

        layers = three(nn.Linear(4, 6), Squared(), nn.Linear(5, 3))
        model, graph = traced(layers.pop("run"), X, **layers)
        assert widths(graph) == {"a": 6}
        sound(model, graph, X)


class TestMasks:
    """Our masks inside of the user's parametrisations."""

    @pytest.fixture
    def parts(self):
        layers, x = linears(weight_norm)
        model, graph = traced(layers.pop("run"), x, **layers)
        return model, random_plan(graph).keep("a", [0, 2]).keep("l", [1, 3, 4])

    def test_directions_of_dead_units_stay(self, parts):
        model, plan = parts
        masks = masks_of(mask(model, plan))
        assert set(masks) == {
            "a.parametrizations.weight.original0", "a.bias", "l.parametrizations.weight.original0",
            "l.parametrizations.weight.original1", "l.bias", "c.weight",
        }  # fmt: skip
        columns = torch.tensor([True, False, True, False, False, False])
        assert torch.equal(masks["l.parametrizations.weight.original1"], columns.expand(5, 6))

    def test_the_model_is_not_touched(self, parts):
        model, plan = parts
        with untouched(model):
            masked = mask(model, plan)
            masked(X).sum().backward()
            again = copy.deepcopy(masked)
            mask(masked, plan)
            shrink(masked, plan)
        assert torch.equal(again(X), masked(X))
        kind = type(masked.a)
        assert kind is not type(model.a) and "bias" in vars(kind) and "bias" not in vars(type(model.a))

    def test_masks_come_off_and_the_parametrisation_stays(self, parts):
        model, plan = parts
        masked = mask(model, plan)
        before = masked(X)
        bare = unmask_(copy.deepcopy(masked))
        assert type(bare.a) is type(model.a) and list(bare.state_dict()) == list(model.state_dict())
        assert [n for n, _ in bare.named_modules()] == [n for n, _ in model.named_modules()]
        assert torch.equal(bare(X), before) and torch.equal(masked(X), before)
        assert not masks_of(bare)
        mask_(bare, plan)
        assert torch.equal(bare(X), before)

    def test_the_shrunk_network_is_parametrised(self, parts):
        model, plan = parts
        small = shrink(mask(model, plan), plan)
        assert small.l.weight.shape == (3, 2) and parametrize.is_parametrized(small.l, "weight")
        norms = small.l.weight.norm(dim=1, keepdim=True)
        torch.testing.assert_close(norms, small.l.parametrizations.weight.original0.abs())

    def test_saved_and_loaded(self, parts, tmp_path):
        model, plan = parts
        small = shrink(model, plan)
        save(small, plan, tmp_path / "small.safetensors")
        again = load(tmp_path / "small.safetensors", copy.deepcopy(model))
        assert torch.equal(again(X), small(X))


def test_tensors_that_a_pass_computed_do_not_hinder_copies():
    """Old weight norm keeps the computed weight; a recurrent layer lists what its parametrisation computed."""
    layers = {"a": old_weight_norm(nn.Linear(4, 6)), "l": weight_norm(nn.LSTM(6, 5), "weight_hh_l0")}
    model, graph = traced(lambda m, x: m.c(m.l(m.a(x))[0]), X, **layers, c=nn.Linear(5, 3))
    model(X).sum().backward()
    plan = random_plan(graph, 1)
    masked = mask(model, plan)
    masked(X).sum().backward()
    assert (mask(masked, plan)(X) - shrink(masked, plan)(X)).abs().max() < 1e-9
