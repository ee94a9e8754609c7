"""Time limits: the share that bisection finds beside all shares there are, on a clock that is known; one real run."""

import pytest
import torch
from torch import nn

from secateur.core.budget import Budget, TimeLimit
from secateur.core.errors import BudgetError
from secateur.core.report import Latency
from secateur.measure import latencies, macs, remeasured, within

X = torch.zeros(1, 64)
STEPS = 200  # widths of the toy


def made(units):
    return nn.Sequential(nn.Linear(64, units, bias=False), nn.Linear(units, 64, bias=False))


DENSE = made(STEPS)


def make(keep):
    """As many units as fit, and one at least: what a plan does."""
    if (units := int(keep * STEPS * (1 + 1e-12))) < 1:
        raise BudgetError("out of reach", 1 / STEPS)
    return made(units)


def units_of(model):
    return model[0].out_features


def clock(ms, pace=None):
    """A clock that shows `ms(units)`, times what `pace` yields next: a machine whose speed changes."""

    def times(models, example_inputs, *, runtime, threads):
        now = next(pace) if pace else 1.0
        return {n: Latency(runtime, now * ms(units_of(m)), 0, "cpu", threads, 1, 1) for n, m in models.items()}

    return times


def widest(ms, limit):
    """Brute force."""
    return max(units for units in range(1, STEPS + 1) if ms(units) <= limit)


def steps_of_sixteen(units):
    return 1 + 0.5 * -(-units // 16)


@pytest.mark.parametrize("limit", [1.6, 2.0, 3.33, 5.0, 7.4])
@pytest.mark.parametrize("ms", [lambda u: 1 + u / 25, steps_of_sixteen, lambda u: 0.1 + (u / 70) ** 2])
def test_the_widest_that_fits(ms, limit):
    found = within(TimeLimit(limit), make, DENSE, X, clock=clock(ms), rounds=12)
    assert units_of(make(found.keep)) == widest(ms, limit)
    assert found.ms == pytest.approx(ms(widest(ms, limit)))
    assert found.dense == ms(STEPS)


def test_seven_rounds_come_as_close_as_a_hundredth():
    found = within(TimeLimit(4.0), make, DENSE, X, clock=clock(lambda u: 1 + u / 25))
    assert 0 <= 75 - units_of(make(found.keep)) <= STEPS / 2**7
    assert found.tried == 8


def test_a_share_of_the_dense_time():
    ms = lambda u: 1 + u / 25  # noqa: E731  a line of the test's table
    found = within(TimeLimit("half the latency"), make, DENSE, X, clock=clock(ms), rounds=12)
    assert found.limit == ms(STEPS) / 2
    assert units_of(make(found.keep)) == widest(ms, ms(STEPS) / 2)


def test_a_machine_that_slows_down_does_no_harm():
    ms = lambda u: 1 + u / 25  # noqa: E731  a line of the test's table
    pace = (1 + (i * 0.7) % 3 if i else 1.0 for i in range(99))
    found = within(TimeLimit(4.0), make, DENSE, X, clock=clock(ms, pace), rounds=12)
    assert units_of(make(found.keep)) == widest(ms, 4.0)
    assert found.ms == pytest.approx(ms(widest(ms, 4.0)))


@pytest.mark.parametrize("seed", range(20))
def test_jagged_times_never_yield_what_was_not_measured_to_fit(seed):
    drawn = torch.rand(STEPS + 1, generator=torch.Generator().manual_seed(seed)).tolist()
    ms = lambda u: 1 + u / 25 + 3 * drawn[u]  # noqa: E731  a line of the test's table
    shown = []

    def times(models, *args, **how):
        shown.append(units_of(models["candidate"]))
        return clock(ms)(models, *args, **how)

    try:
        found = within(TimeLimit(3.5), make, DENSE, X, clock=times)
    except BudgetError:
        assert all(ms(units) > 3.5 for units in shown)
        return
    assert found.tried == len(shown)
    assert units_of(make(found.keep)) == max(units for units in shown if ms(units) <= 3.5)


def test_the_narrowest_may_be_slow():
    """Thin layers in a row may take longer than one: others are looked at before the search gives up."""
    ms = lambda u: 9 if u < 40 else 2 + u / 25  # noqa: E731  a line of the test's table
    found = within(TimeLimit(6.0), make, DENSE, X, clock=clock(ms), rounds=12)
    assert units_of(make(found.keep)) == 100


def test_out_of_reach_tells_the_fastest():
    with pytest.raises(BudgetError, match=r"0.5 ms cannot be met: the fastest of 8 networks.* took 1.04 ms.*9 ms"):
        within(TimeLimit(0.5), make, DENSE, X, clock=clock(lambda u: 1 + u / 25))


@pytest.mark.parametrize("limit", ["9 ms", "20 ms", "1 latency"])
def test_the_dense_network_may_fit(limit):
    found = within(TimeLimit(limit), make, DENSE, X, clock=clock(lambda u: 1 + u / 25))
    assert (found.keep, found.ms, found.tried) == (1.0, 9.0, 1)
    assert "nothing has to go" in str(found)


def test_an_error_without_a_figure_passes_through():
    def never(keep):
        raise BudgetError("this model has no macs")

    with pytest.raises(BudgetError, match="no macs"):
        within(TimeLimit(1), never, DENSE, X, clock=clock(lambda u: 1.0))


def test_the_network_in_the_end():
    ms = lambda u: 1 + u / 25  # noqa: E731  a line of the test's table
    found = within(TimeLimit("4 ms in onnxruntime on 2 threads"), make, DENSE, X, clock=clock(ms))
    asked = []

    def times(models, example_inputs, *, runtime, threads):
        asked.append((runtime, threads))
        return clock(lambda u: 3 * ms(u))(models, example_inputs, runtime=runtime, threads=threads)

    final = remeasured(found, made(100), DENSE, X, clock=times)
    assert asked == [("onnxruntime", 2)]
    assert final.final == pytest.approx(ms(100))  # three times slower, and so is the dense network
    assert str(final).endswith("the network in the end takes 5 ms, which is more than was asked for.")


def test_measured():
    """Real networks on the real clock: what is returned was among those that were timed, and fitted."""
    torch.manual_seed(0)
    wide = nn.Sequential(nn.Linear(512, 2048), nn.ReLU(), nn.Linear(2048, 512)).eval()
    x, shown = torch.randn(8, 512), {}

    def cut(keep):
        if (units := int(keep * 2048)) < 1:
            raise BudgetError("out of reach", 1 / 2048)
        return nn.Sequential(nn.Linear(512, units), nn.ReLU(), nn.Linear(units, 512)).eval()

    def times(models, example_inputs, *, runtime, threads):
        both = latencies(models, example_inputs, runtime=runtime, threads=threads, repeats=5, seconds=0.02)
        shown[macs(models["candidate"], x)] = both["candidate"].p50 / both["dense"].p50
        return both

    found = within(TimeLimit("0.6 latency"), cut, wide, x, clock=times)
    assert shown[macs(cut(found.keep), x)] * found.dense == pytest.approx(found.ms)
    assert found.ms <= found.limit == pytest.approx(0.6 * found.dense)
    assert Budget(found.keep, "macs").of == "macs"
