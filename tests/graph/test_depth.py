"""Which modules may go as a whole: networks made so that the answer is known, most of them traps."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from secateur.apply.masking import mask
from secateur.apply.shrinking import shrink
from secateur.apply.verify import difference, outputs
from secateur.core.errors import VerificationError
from secateur.core.example import Example
from secateur.core.plan import PruningPlan
from secateur.granularity import Layer
from secateur.graph.cost import cost
from secateur.graph.trace import trace
from secateur.testing.system import measured, untouched


class Residual(nn.Module):
    """`last(x + inner(x))`."""

    def __init__(self, *inner, last=None):
        super().__init__()
        self.inner, self.last = nn.Sequential(*inner), last or nn.Identity()

    def forward(self, x):
        return self.last(x + self.inner(x))


class Calls(nn.Module):
    """A network whose forward is a function of the module and its input."""

    def __init__(self, forward, **modules):
        super().__init__()
        self.run = forward
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x):
        return self.run(self, x)


def block(width=6, **kwargs):
    return Residual(nn.Linear(width, 9), nn.Tanh(), nn.Linear(9, width), **kwargs)


def chain(*modules):
    return nn.Sequential(nn.Linear(4, 6), *modules, nn.Linear(6, 3))


def blocks(model, x=None):
    torch.manual_seed(0)
    return trace(model, torch.randn(2, 4) if x is None else x, depth=True).blocks


def test_where_a_relu_follows_the_sum_inputs_must_not_be_negative():
    relu = nn.ReLU()
    assert blocks(chain(block(last=nn.ReLU()), block(last=nn.ReLU()))) == ("2",)
    assert blocks(chain(nn.ReLU(), block(last=nn.ReLU()), block(last=nn.ReLU()))) == ("2", "3")
    assert blocks(chain(nn.Sigmoid(), block(last=relu), block(last=relu))) == ("2", "3")
    assert blocks(chain(nn.SiLU(), block(last=nn.ReLU()))) == ()
    assert blocks(chain(nn.ReLU(), block(), block(last=nn.ReLU()))) == ("2",)  # the sum before may be negative


def test_where_a_clip_follows_the_sum_inputs_must_be_in_range():
    assert blocks(chain(nn.ReLU6(), block(last=nn.ReLU6()))) == ("2",)
    assert blocks(chain(nn.ReLU(), block(last=nn.ReLU6()))) == ()
    assert blocks(chain(nn.Tanh(), block(last=nn.Hardtanh()))) == ("2",)


def test_few_entries_do_not_pass_by_chance():
    """Two entries are positive in one pass of four, and in two of sixteen."""
    for seed in range(20):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(4, 2), block(2, last=nn.ReLU()), nn.Linear(2, 3))
        assert trace(model, torch.randn(1, 4), depth=True).blocks == ()
        assert trace(
            nn.Sequential(nn.Linear(4, 2), block(2), nn.Linear(2, 3)), torch.randn(1, 4), depth=True
        ).blocks == ("1",)


@pytest.mark.parametrize("last", [nn.LayerNorm(6), nn.BatchNorm1d(6), nn.Linear(6, 6), nn.Softmax(-1)], ids=repr)
def test_what_follows_the_sum_must_be_the_identity(last):
    assert blocks(chain(block(last=last), block())) == ("2",)


def test_norms_in_front_dropout_and_scales_are_fine():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.linear, self.gamma = nn.LayerNorm(6), nn.Linear(6, 6), nn.Parameter(torch.full((6,), 1e-6))

        def forward(self, x):
            return x + F.dropout(self.gamma * self.linear(self.norm(x)), 0.5, self.training)

    assert blocks(chain(Scaled(), Residual(nn.BatchNorm1d(6), nn.Linear(6, 6)), nn.Dropout(0.5))) == ("1", "2")


def test_single_layers_and_the_network_itself_are_no_blocks():
    assert blocks(Residual(nn.Linear(4, 4))) == ()
    assert blocks(chain(nn.ReLU(), nn.PReLU(), block())) == ("3",)


def test_of_modules_inside_one_another():
    """A stage is its blocks; a block is a block, also if a part of it would pass as one."""
    stage = nn.Sequential(block(), nn.Sequential(block(), nn.Identity()))
    assert blocks(chain(stage, Residual(block()))) == ("1.0", "1.1.0", "2.inner.0")
    assert blocks(chain(nn.Sequential(block(), Residual(nn.Linear(6, 6), block())))) == ("1.0", "1.1")
    assert blocks(chain(nn.Sequential(block(), nn.Linear(6, 6), Residual(block(), nn.Linear(6, 6))))) == ("1.0", "1.2")


def test_order_of_execution():
    model = Calls(lambda m, x: m.head(m.a(m.b(m.stem(x)))), head=nn.Linear(6, 3), a=block(), b=block())
    model.stem = nn.Linear(4, 6)
    assert blocks(model) == ("b", "a")


CALLS = {
    "called twice": lambda m, x: m.b(m.b(x)),
    "by keyword": lambda m, x: m.b(x=x),
    "with more": lambda m, x: m.b(x, None),
    "past its hooks": lambda m, x: m.b.forward(x),
    "never": lambda m, x: x,
    "weight read elsewhere": lambda m, x: m.b(x) @ m.b.inner[2].weight,
    "layer called elsewhere": lambda m, x: m.b(x).sum(-1, keepdim=True) + m.b.inner[0](x).mean(),
    "asked for its class": lambda m, x: m.b(x) if isinstance(m.b, Residual) else -x,
    "size read elsewhere": lambda m, x: m.b(x) / m.b.inner[0].in_features,
    "kept beside the modules": lambda m, x: m.kept[0](x),
    "written over": lambda m, x: x + m.b(x).relu_(),
}


@pytest.mark.parametrize("how", CALLS)
def test_what_the_rest_of_the_network_notices(how):
    class Lenient(Residual):
        def forward(self, x, *_):
            return super().forward(x)

    b = Lenient(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 6))

    def forward(m, x):
        x = CALLS[how](m, m.stem(x))
        return m.c(x)

    model = Calls(forward, stem=nn.Linear(4, 6), b=b, c=block(9 if how == "weight read elsewhere" else 6))
    if how == "layer called elsewhere":
        model.c = Residual(nn.Linear(1, 1))
    model.kept = (b,)
    assert blocks(model) == ("c",)


def test_what_returns_something_else():
    class Tuple(Residual):
        def forward(self, x):
            return (super().forward(x),)

    class Erases(Residual):
        def forward(self, x):
            y = super().forward(x)
            x.zero_()
            return y

    class Noisy(Residual):
        def forward(self, x):
            return super().forward(x) + torch.rand_like(x) * self.training

    inner = (nn.Linear(6, 6), nn.Tanh())
    model = Calls(lambda m, x: m.c(m.n(m.e(m.t(m.stem(x))[0]))), t=Tuple(*inner), e=Erases(*inner), n=Noisy(*inner))
    model.stem, model.c = nn.Linear(4, 6), block()
    model.e.inner, model.n.inner = (nn.Sequential(nn.Linear(6, 6), nn.Tanh()) for _ in range(2))
    assert blocks(model) == ("c",)


def test_written_in_place():
    class InPlace(Residual):
        def forward(self, x):
            x += self.inner(x)
            return x

    assert blocks(chain(InPlace(nn.Linear(6, 6)), block())) == ("1", "2")


def test_hooks_are_part_of_a_module():
    model = chain(block(), block(), block())
    model[1].register_forward_hook(lambda m, args, y: y + 1)
    model[2].register_forward_pre_hook(lambda m, args: (args[0] * 2,))
    model[3].register_forward_hook(lambda m, args, y: None)
    assert blocks(model) == ("3",)


class TestSharing:
    def test_weights(self):
        model = chain(block(), block(), block())
        model[2].inner[0].weight = model[1].inner[0].weight
        assert blocks(model) == ("3",)

    def test_buffers(self):
        model = chain(block(), block(), block())
        table = torch.ones(2)
        for one in (model[1], model[2]):
            one.register_buffer("table", table)
        assert blocks(model) == ("3",)

    def test_layers(self):
        layer = nn.Linear(6, 6)
        assert blocks(chain(Residual(layer, nn.Tanh()), Residual(nn.Tanh(), layer), block())) == ("3",)

    def test_tied_inside(self):
        model = chain(block(), Residual(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6)))
        model[2].inner[2].weight = model[2].inner[0].weight
        assert blocks(model) == ("1", "2")

    def test_modules_without_tensors(self):
        class Mixes(nn.Module):  # it multiplies and adds, and each multiplication is booked on one of its names
            def forward(self, x):
                return (x @ x.T).softmax(-1) @ x

        mixes, act = Mixes(), nn.Tanh()
        model = chain(
            Residual(nn.Linear(6, 6), act), Residual(mixes, nn.Linear(6, 6)), Residual(nn.Linear(6, 6), mixes)
        )
        model[2].inner.append(act)
        assert blocks(model) == ("1",)

    def test_two_names_for_one_block(self):
        model = Calls(lambda m, x: m.c(m.again(m.stem(x))), stem=nn.Linear(4, 6), b=block(), c=block())
        model.again = model.b
        graph = trace(model, torch.randn(2, 4), depth=True)
        assert graph.blocks == ("b", "c")
        plan = PruningPlan({}, Layer(), graph).keep("layers", [1])
        small = shrink(model, plan)
        assert small.b is small.again and type(small.b) is nn.Identity
        assert measured(small, Example.of(torch.randn(2, 4)))[:2] == (cost(plan.left).macs, cost(plan.left).params)


def test_parameters_that_are_used_in_their_own_ways():
    """Recurrent layers answer zero without weights; a weight norm of zeros is no number."""

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(6, 6, batch_first=True)

        def forward(self, x):
            return x + self.lstm(x[:, None])[0][:, 0]

    normed = Residual(nn.Linear(6, 6), parametrizations.weight_norm(nn.Linear(6, 6)))
    model = chain(Recurrent(), normed, block())
    assert blocks(model) == ("1", "3")
    plan = PruningPlan({}, Layer(), trace(model, torch.randn(2, 4), depth=True)).keep("layers", [1])
    assert type(shrink(model, plan)[1]) is nn.Identity


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16, torch.float16])
def test_precision_does_not_matter(kind):
    model = chain(nn.ReLU(), block(), *(block(last=nn.ReLU()) for _ in range(3))).to(kind)
    assert blocks(model, torch.randn(2, 4).to(kind)) == ("2", "4", "5")


def test_a_network_that_does_not_train_on_the_example():
    model = nn.Sequential(nn.Conv2d(3, 6, 4), nn.BatchNorm2d(6), Residual(nn.Conv2d(6, 6, 1)), nn.Flatten())
    with pytest.raises(ValueError, match="more than 1 value"):
        model.train()(torch.zeros(1, 3, 4, 4))
    assert blocks(model, torch.zeros(1, 3, 4, 4)) == ("2",)


def test_a_network_that_refuses_random_inputs():
    def forward(m, x):
        if not bool((x >= 0).all()):
            raise ValueError("only positive inputs")
        return m.b(m.a(m.stem(x)))

    model = Calls(forward, stem=nn.Linear(4, 6), a=block(), b=block())
    assert blocks(model, torch.rand(2, 4)) == ("a", "b")


def test_the_model_is_untouched_also_where_its_forward_fails_on_zeros():
    class Picky(Residual):
        def forward(self, x):
            if not bool(self.inner[0].weight.any()):
                raise ValueError("no weights")
            return super().forward(x)

    model = chain(Picky(nn.Linear(6, 6)), block()).train()
    with untouched(model):
        assert trace(model, torch.ones(2, 4), depth=True).blocks == ("2",)


def test_zeros_in_the_example_tell_nothing_and_do_no_harm():
    assert blocks(chain(nn.ReLU(), block(), block(last=nn.Softmax(-1))), torch.zeros(1, 4)) == ("2",)


def test_a_block_that_another_block_reads_is_caught_before_it_is_handed_over():
    """Tracing takes all blocks out at once, and so does not see that one of them needs another."""
    model = chain(block(), block())
    model[2].inner[1] = Calls(lambda m, x: x * m.other[0].inner[0].weight.mean())
    model[2].inner[1].other = (model[1],)
    whole = PruningPlan({}, Layer(), trace(model, torch.randn(2, 4), depth=True))
    assert whole.graph.blocks == ("1", "2")
    assert type(shrink(model, whole.keep("layers", []))[1]) is nn.Identity
    with untouched(model), pytest.raises(VerificationError, match="differ"):
        shrink(model, whole.keep("layers", [1]))


def test_every_choice_of_blocks_is_masked_and_shrunk_alike():
    """Brute force over all subsets, by an oracle of its own: weights set to zero by hand."""
    torch.manual_seed(0)
    model = chain(nn.ReLU(), *(block(last=nn.ReLU()) for _ in range(3))).double()
    x = torch.randn(5, 4, dtype=torch.float64)
    graph = trace(model, x, depth=True)
    assert graph.blocks == ("2", "3", "4")
    whole = PruningPlan({}, Layer(), graph)
    for keep in ([], [0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]):
        plan = whole.keep("layers", keep)
        gone = [number for number in range(3) if number not in keep]
        wanted = model[1](model[0](x))
        for number in keep:
            wanted = model[2 + number](wanted)
        wanted = [model[5](wanted).detach()]
        assert plan.removed == tuple(f"{2 + number}" for number in gone)
        for student in (mask(model, plan), shrink(model, plan), shrink(mask(model, plan), plan)):
            assert difference(wanted, outputs(student, Example.of(x))) < 1e-14
