"""Every search against all choices of a small problem, and against random search on a wide one."""

import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.search.toy import SMALL, WIDE, Toy

from secateur.core.errors import IncompatibleError
from secateur.search import AMC, Attempt, Bayesian, Genetic, NetAdapt, Random, Uniform, environment, project
from secateur.search.amc import STATE, Walk
from secateur.search.base import options, stages


def found(how, toy, evaluations, seed=0):
    attempt = Attempt(how, toy, toy.quality, evaluations)
    attempt.run(seed)
    return attempt


@pytest.fixture(scope="module")
def best_of_all():
    return max(SMALL.quality(counts) for counts in SMALL.every())


@pytest.mark.parametrize(
    ("how", "evaluations"),
    [(Bayesian(model="gp", warmup=2), 35), (Bayesian(model="tpe", warmup=2), 100), (Genetic(population=10), 60)],
    ids=repr,
)
def test_finds_the_best_of_all(how, evaluations, best_of_all):
    assert found(how, SMALL, evaluations).best.quality == pytest.approx(best_of_all, abs=1e-3)


@pytest.mark.parametrize("how", [NetAdapt(), AMC(warmup=0.5)], ids=repr)
def test_greedy_and_learning_come_near(how, best_of_all):
    uniform = found(Uniform(), SMALL, 1).best.quality
    assert found(how, SMALL, 60).best.quality > uniform + 0.5 * (best_of_all - uniform)


@pytest.mark.parametrize(
    ("how", "seeds"),
    [
        pytest.param(Bayesian(model="gp", warmup=2), 2, marks=pytest.mark.slow),
        (Bayesian(model="tpe", warmup=2), 5),
        (Genetic(population=10), 5),
        (NetAdapt(), 5),
    ],
    ids=repr,
)
def test_better_than_random_on_average(how, seeds):
    """At equal numbers of evaluations, means over seeds."""
    evaluations = 60
    by_lot = statistics.mean(found(Random(), WIDE, evaluations, seed).best.quality for seed in range(seeds))
    searched = statistics.mean(found(how, WIDE, evaluations, seed).best.quality for seed in range(seeds))
    assert searched > by_lot


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_amc_learns(seed):
    """Its last episodes are far better than the first, which are by lot, and than the mean of random choices.

    That the best of all episodes beats the best of as many random ones is not claimed: on this problem it does not.
    """
    qualities = [trial.quality for trial in found(AMC(), WIDE, 200, seed).trials]
    by_lot = [trial.quality for trial in found(Random(), WIDE, 200, seed).trials]
    assert statistics.mean(qualities[-40:]) > max(statistics.mean(qualities[:40]), statistics.mean(by_lot)) + 0.05


def test_uniform_is_one_point():
    attempt = found(Uniform(), SMALL, 50)
    assert [t.counts for t in attempt.trials] == [dict.fromkeys("abcd", 4)]


def test_bayesian_begins_with_uniform():
    for how in (Bayesian(), Genetic()):
        assert found(how, SMALL, 1).best.counts == found(Uniform(), SMALL, 1).best.counts


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 7), st.floats(0, 1)), min_size=1, max_size=5),
    st.floats(0.01, 1),
    st.integers(1, 3),
)
def test_projection_fits_and_leaves_no_room(blocks, keep, step):
    names = [str(n) for n in range(len(blocks))]
    toy = Toy(
        {n: b[0] * step for n, b in zip(names, blocks, strict=True)},
        {n: b[1] for n, b in zip(names, blocks, strict=True)},
        {},
        keep,
        step,
    )
    least = {n: toy.round(n, 0) for n in names}
    if not toy.fits(least):
        return
    counts = project({n: b[2] for n, b in zip(names, blocks, strict=True)}, toy)
    assert toy.fits(counts)
    for name, count in counts.items():
        more = toy.next_up(name, count)
        assert toy.round(name, count) == count
        assert more == count or not toy.fits({**counts, name: more})


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 9), st.floats(0, 1)), min_size=1, max_size=6),
    st.floats(0.02, 1),
    st.floats(0.01, 1),
    st.integers(1, 4),
)
def test_the_budget_stays_within_reach(layers, keep, low, step):
    """Whatever the agent says, layer after layer: the rest at its least still fits, so the episode ends within it."""
    names = [str(n) for n in range(len(layers))]
    toy = Toy(
        {n: x[0] * step for n, x in zip(names, layers, strict=True)},
        {n: x[1] for n, x in zip(names, layers, strict=True)},
        {},
        keep,
        step,
    )
    least = {n: toy.round(n, 0) for n in names}
    if not toy.fits(least):
        return
    walk = Walk.start(toy, low)
    for name, (_, _, action) in zip(names, layers, strict=True):
        state = walk.state()
        assert state.shape == (len(STATE),)
        assert state.min() >= 0 and state.max() <= 1
        count = walk.keep(action)
        assert toy.round(name, count) == count
        assert toy.fits({**least, **walk.chosen})
    assert walk.done and toy.fits(walk.chosen)


def test_the_wall_is_as_far_away_as_can_be():
    """An agent that wants everything gets the largest count that leaves the others their least."""
    walk = Walk.start(SMALL, 0.2)
    rest = {"b": 1, "c": 1, "d": 1}
    largest = max(n for n in range(1, 9) if SMALL.fits({"a": n, **rest}))
    assert walk.keep(1.0) == largest
    walk = Walk.start(Toy({"a": 10, "b": 10}, {"a": 1, "b": 1}, {}, 0.6), 0.3)
    assert [walk.keep(1.0), walk.keep(1.0)] == [9, 3]


def test_state_by_hand():
    toy = Toy({"a": 4, "b": 8, "c": 4}, {"a": 4, "b": 2, "c": 2}, {}, 0.5)
    walk = Walk.start(toy, 0.25)
    places = [27 * 16 / (4 * 27), 27 * 16 / (8 * 27), 27 * 8 / (4 * 27)]  # work over entries of the weight: 4, 2, 2
    assert places == [4.0, 2.0, 2.0]
    first = walk.state()
    assert first.tolist() == pytest.approx([0, 0, 0, 1, 1, 0, 0, 1, 0, 24 / 40, 1])
    walk.keep(0.5)
    second = walk.state()
    assert second[0] == 0.5 and second[1] == 1 and second[3] == 0
    assert second[5] == pytest.approx(1.0)  # the stride of b is the only one that is not 1
    assert second[8:].tolist() == pytest.approx([8 / 40, 8 / 40, 0.5])


def test_environment_meets_gymnasium():
    from gymnasium.utils.env_checker import check_env

    env = environment(SMALL, SMALL.quality)
    with np.errstate(all="ignore"):
        check_env(env, skip_render_check=True)
    env.reset()
    rewards = [env.step(np.array([0.9], dtype=np.float32)) for _ in range(4)]
    assert [r[1] for r in rewards[:3]] == [0.0] * 3  # a reward at the end only
    assert [r[2] for r in rewards] == [False, False, False, True]
    assert rewards[3][4]["quality"] == SMALL.quality(env.walk.chosen)


def test_guaranteed_reward():
    import math

    counts = dict.fromkeys("abcd", 4)
    assert AMC(reward="guaranteed").worth(counts, 0.9, SMALL) == pytest.approx(-0.1 * math.log(40))
    assert AMC().worth(counts, 0.9, SMALL) == 0.9


def test_netadapt_by_hand():
    """Two steps over two blocks: what each try costs, which wins, and where it ends."""
    toy = Toy({"a": 4, "b": 4}, {"a": 1, "b": 1}, {"a": 1, "b": 3}, 0.5)
    tried = []
    Attempt(NetAdapt(), toy, lambda c: (tried.append(dict(c)), toy.quality(c))[1], 4).run(0)
    assert tried == [{"a": 2, "b": 4}, {"a": 4, "b": 2}, {"a": 1, "b": 4}, {"a": 2, "b": 2}]


def test_stages_and_options():
    assert stages(list("abcde"), 2) == [("a", "b"), ("c", "d", "e")]
    assert stages(list("ab"), 5) == [("a",), ("b",)]
    assert options(Toy({"a": 7}, {"a": 1}, {}, step=2)) == {"a": [2, 4, 6, 7]}


@pytest.mark.parametrize(
    "make",
    [
        lambda: Bayesian(model="cp"),
        lambda: Genetic(population=1),
        lambda: NetAdapt(steps=0),
        lambda: AMC(low=0),
        lambda: AMC(reward="x"),
    ],
)
def test_settings_are_checked(make):
    with pytest.raises(IncompatibleError, match=r"must be|or more"):
        make()
