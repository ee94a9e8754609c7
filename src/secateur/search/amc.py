"""AMC: an agent walks through the layers, says what each keeps, and learns from the quality in the end."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from secateur.core.contracts import Evaluate, Limits, Search
from secateur.core.errors import IncompatibleError, UnsupportedError
from secateur.core.paper import Paper
from secateur.core.rng import private_random
from secateur.search.base import lowest, search

if TYPE_CHECKING:
    import gymnasium

#: What the agent knows of a layer: see the class.
STATE = ("t", "n", "c", "h", "w", "stride", "k", "macs", "reduced", "rest", "last")
#: Learning rates of actor and critic.
_RATES = 1e-4, 1e-3
#: Of the moving average of rewards that is taken off each.
_MEMORY = 0.95


@search("amc")
@dataclass(frozen=True, kw_only=True)
class AMC(Search):
    """Reinforcement learning: layer by layer an agent chooses the share that stays, and is rewarded in the end.

    Paper:   He et al., *AMC: AutoML for Model Compression and Acceleration on Mobile Devices*, ECCV 2018.
             arXiv:1802.03494
    Formula: state (t, n, c, h, w, stride, k, macs, reduced, rest, a_(t-1)), each in [0, 1]; action a in [low, 1], the
             share that stays, but never more than lets the budget be met if all later layers keep their least; reward
             R = quality, or R = -(1 - quality) log(cost), at the end of an episode, less its moving average, and all
             steps of the episode are credited with it; DDPG with discount 1 and truncated normal exploration whose
             sigma falls by `decay` with every episode after warm-up
    Cost:    one episode for each evaluation; a step of training two small networks for each layer of each episode
    Differs: warm-up is a share of the episodes (100 in the paper). h and w are the root of the places that the weight
             is applied at, and stride their ratio to the layer before. Of a group of layers that must be cut together
             the first stands for all. Which units go is the criterion's business, and mending is that of repairs.
             Figures of the networks (two hidden layers of 300) and learning rates are ours

    Needs Stable-Baselines3 and Gymnasium: `pip install secateur[search]`.

    Attributes:
        reward: "quality", where a budget binds, or "guaranteed", which weighs errors against costs.
        low: the smallest share that an action stands for, where the budget can be met with it.
        warmup: the share of episodes at the start in which actions are drawn uniformly.
        sigma: of the exploration, as a share.
        decay: what sigma is multiplied with after each episode.

    Example:
        >>> AMC(reward="guaranteed").low
        0.2
    """

    reward: Literal["quality", "guaranteed"] = "quality"
    low: float = 0.2
    warmup: float = 0.25
    sigma: float = 0.5
    decay: float = 0.95
    paper: ClassVar[Paper | None] = Paper("he2018amc")

    def __post_init__(self) -> None:
        shares = {"low": self.low, "warmup": self.warmup, "sigma": self.sigma, "decay": self.decay}
        wrong = [f"{name}={value!r}" for name, value in shares.items() if not 0 < value <= 1]
        wrong += [f"reward={self.reward!r}"] if self.reward not in ("quality", "guaranteed") else []
        if wrong:
            raise IncompatibleError(
                f"AMC got {', '.join(wrong)}. low, warmup, sigma and decay must be in (0, 1], reward 'quality' or "
                "'guaranteed'."
            )

    def run(self, limits: Limits, evaluate: Evaluate, evaluations: int, seed: int) -> None:
        """As many episodes as there are evaluations."""
        layers = len(limits.blocks)
        with private_random(seed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            env = environment(limits, evaluate, reward=lambda c, q: self.worth(c, q, limits), low=self.low)
            agent = _agent(env, self, layers, max(1, round(self.warmup * evaluations)), seed)
            agent.learn(total_timesteps=layers * evaluations, log_interval=None)

    def worth(self, counts: Mapping[str, int], quality: float, limits: Limits) -> float:
        """The reward, before its average is taken off."""
        if self.reward == "quality":
            return quality
        return -(1 - quality) * math.log(max(limits.spent(counts), 2.0))

    @classmethod
    def examples(cls) -> list[AMC]:
        """Both rewards."""
        return [cls(), cls(reward="guaranteed")]


@dataclass(slots=True)
class Walk:
    """What an agent may do and know on its way through the layers; knows nothing of how it learns.

    Attributes:
        limits: what fits.
        low: the smallest share that an action stands for.
        chosen: units of the layers that were decided, in order.
        last: the share of the layer before, as it was rounded.
    """

    limits: Limits
    low: float
    chosen: dict[str, int]
    last: float = 1.0

    @classmethod
    def start(cls, limits: Limits, low: float) -> Walk:
        """Before the first layer."""
        return cls(limits, low, {})

    @property
    def names(self) -> list[str]:
        """All layers."""
        return list(self.limits.blocks)

    @property
    def done(self) -> bool:
        """Whether all layers are decided."""
        return len(self.chosen) == len(self.limits.blocks)

    def keep(self, action: float) -> int:
        """Decide about the next layer: the share that is asked for, or what the budget leaves to it."""
        name = self.names[len(self.chosen)]
        units = self.limits.blocks[name]
        least = lowest(self.limits, self.low)
        wanted = self.limits.round(name, max(float(action), self.low) * units)
        count = max(min(wanted, self._wall(name, least)), least[name])
        self.chosen[name] = count
        self.last = count / units
        return count

    def _wall(self, name: str, least: Mapping[str, int]) -> int:
        """The largest count of a layer at which the budget can still be met: by bisection, cost never falls."""
        rest = {**least, **self.chosen}
        low, high = least[name], self.limits.blocks[name]
        while low < high:
            middle = (low + high + 1) // 2
            fits = self.limits.fits({**rest, name: self.limits.round(name, middle)})
            low, high = (middle, high) if fits else (low, middle - 1)
        return self.limits.round(name, low)

    def state(self) -> np.ndarray:
        """What is known before the next decision, `(11,)` in [0, 1]."""
        place = min(len(self.chosen), len(self.names) - 1)
        fixed = _fixed(self.limits)
        whole = self.limits.spent(self.limits.blocks)
        now = self.limits.spent({**self.limits.blocks, **self.chosen})
        work = [self.limits.work(name) for name in self.names]
        rest = sum(work[place + 1 :]) / max(sum(work), 1)
        moving = [(whole - now) / max(whole, 1), rest, self.last]
        return np.clip(np.array([*fixed[place], *moving], dtype=np.float32), 0.0, 1.0)


def _fixed(limits: Limits) -> np.ndarray:
    """What is known of every layer from the start, `(layers, 8)`: each figure between its least and largest."""
    rows, before = [], 0.0
    for number, name in enumerate(limits.blocks):
        n, c, *kernel = (*limits.shape(name), 1)[: max(len(limits.shape(name)), 2)]
        side = math.sqrt(limits.work(name) / max(math.prod(limits.shape(name)), 1))
        k = kernel[-1] if kernel else 1
        rows.append([number, n, c, side, side, before / side if before and side else 1.0, k, limits.work(name)])
        before = side
    table = np.array(rows, dtype=np.float64)
    low, high = table.min(0), table.max(0)
    return np.asarray((table - low) / np.where(high > low, high - low, 1.0))


def environment(
    limits: Limits,
    evaluate: Evaluate,
    *,
    reward: Callable[[Mapping[str, int], float], float] | None = None,
    low: float = 0.2,
) -> gymnasium.Env[Any, Any]:
    """Compression as a Gymnasium environment: one step for each layer, one episode for each choice.

    Observations are the eleven figures of `STATE` in [0, 1], an action is the share of the layer that stays. The reward
    comes with the last step and is 0 before.

    Args:
        limits: what fits; `secateur.planning.prepare(...).choices` of any traced model.
        evaluate: the quality of counts.
        reward: `(counts, quality) -> reward`; the quality by default. Its moving average is taken off.
        low: the smallest share that an action stands for.

    Raises:
        UnsupportedError: Gymnasium is not installed.
    """
    try:
        import gymnasium  # noqa: PLC0415  an extra
    except ImportError as error:
        raise _missing() from error

    class Pruning(gymnasium.Env[Any, Any]):
        """The walk, as an environment."""

        observation_space = gymnasium.spaces.Box(0.0, 1.0, (len(STATE),), np.float32)
        action_space = gymnasium.spaces.Box(0.0, 1.0, (1,), np.float32)

        def __init__(self) -> None:
            self.walk = Walk.start(limits, low)
            self.average: float | None = None

        def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
            super().reset(seed=seed)
            self.walk = Walk.start(limits, low)
            return self.walk.state(), {}

        def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
            self.walk.keep(float(np.asarray(action).reshape(-1)[0]))
            if not self.walk.done:
                return self.walk.state(), 0.0, False, False, {}
            quality = evaluate(self.walk.chosen)
            found = quality if reward is None else reward(self.walk.chosen, quality)
            before = found if self.average is None else self.average
            self.average = _MEMORY * before + (1 - _MEMORY) * found
            return self.walk.state(), found - before, True, False, {"quality": quality}

    return Pruning()


def _missing() -> UnsupportedError:
    return UnsupportedError(
        "the search 'amc' needs Gymnasium and Stable-Baselines3, which are not installed. Run pip install "
        "'secateur[search]', or choose the searches random or netadapt, which need nothing."
    )


def _agent(env: gymnasium.Env[Any, Any], how: AMC, layers: int, warmup: int, seed: int) -> Any:
    """DDPG whose exploration is a truncated normal about what the actor says."""
    try:
        from stable_baselines3 import DDPG  # noqa: PLC0415  an extra
    except ImportError as error:
        raise _missing() from error

    class Agent(DDPG):
        """DDPG, but for the noise."""

        def _sample_action(self, learning_starts: int, action_noise: Any = None, n_envs: int = 1) -> Any:
            episode = self.num_timesteps // layers
            if episode < warmup:
                share = np.random.uniform(0.0, 1.0, (n_envs, 1))  # noqa: NPY002  seeded by `private_random`
            else:
                assert self._last_obs is not None
                said, _ = self.predict(self._last_obs, deterministic=True)
                share = _truncated(np.asarray(said, dtype=np.float64), how.sigma * how.decay ** (episode - warmup))
            action = share.astype(np.float32)
            return action, self.policy.scale_action(action)

        def _update_learning_rate(self, optimizers: Any) -> None:
            for optimizer, rate in ((self.actor.optimizer, _RATES[0]), (self.critic.optimizer, _RATES[1])):
                for group in optimizer.param_groups:
                    group["lr"] = rate

    from stable_baselines3.common.buffers import ReplayBuffer  # noqa: PLC0415

    class Memory(ReplayBuffer):
        """Every step of an episode is credited with what came in the end."""

        def add(self, *args: Any) -> None:
            super().add(*args)
            *_, reward, done, _ = args
            if done[0]:
                steps = (self.pos - 1 - np.arange(layers)) % self.buffer_size
                self.rewards[steps] = reward

    return Agent(
        "MlpPolicy",
        env,
        gamma=1.0,
        tau=0.01,
        batch_size=64,
        replay_buffer_class=Memory,
        buffer_size=100 * layers,
        learning_starts=warmup * layers,
        train_freq=1,
        policy_kwargs={"net_arch": [300, 300]},
        seed=seed,
        device="cpu",
    )


def _truncated(mean: np.ndarray, sigma: float) -> np.ndarray:
    """A normal draw about `mean`, drawn again until it is in [0, 1]; `mean` itself once sigma is next to nothing."""
    if sigma < 1e-6:
        return mean
    while True:
        draw = np.random.normal(mean, sigma)  # noqa: NPY002
        if bool(((draw >= 0) & (draw <= 1)).all()):
            return np.asarray(draw)
