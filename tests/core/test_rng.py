import torch

from secateur.core.rng import generator


def test_depends_on_seed_and_salt_only():
    state = torch.get_rng_state()
    draws = {
        key: torch.rand(4, generator=generator(*key))
        for key in [(0,), (1,), (0, "a"), (0, "b"), (0, "a", "b"), (0, "ab")]
    }
    again = {key: torch.rand(4, generator=generator(*key)) for key in reversed(list(draws))}
    assert all(torch.equal(draws[key], again[key]) for key in draws)
    assert len({tuple(v.tolist()) for v in draws.values()}) == len(draws)
    assert torch.equal(torch.get_rng_state(), state)
