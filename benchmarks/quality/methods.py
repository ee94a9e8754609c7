"""The methods that are compared, and the shares that stay."""

from __future__ import annotations

from benchmarks.quality.cutting import Method
from secateur.allocation import Global
from secateur.core.contracts import Criterion, Repair
from secateur.criteria import (
    FPGM,
    OBD,
    OBS,
    SNIP,
    APoZ,
    ExactOBS,
    HRank,
    Lasso,
    Magnitude,
    OBSChannel,
    Random,
    SparseGPT,
    Taylor,
    ThiNet,
    Wanda,
    WoodFisher,
)
from secateur.granularity import NM, Channel, Weight
from secateur.repair import LeastSquares, OBSUpdate, SparseGPTUpdate

WEIGHTS = (0.6, 0.45, 0.3, 0.2, 0.1)
CHANNELS = (0.9, 0.8, 0.7, 0.6, 0.5)
#: MobileNetV2 is thin already: without training, half of it guesses.
THIN_WEIGHTS = (0.8, 0.7, 0.6, 0.5, 0.4)
THIN_CHANNELS = (0.95, 0.9, 0.85, 0.8, 0.7)


def weights(seed: int) -> tuple[Method, ...]:
    """Single weights, the same share of every layer unless the name says otherwise."""
    return (
        _weight("random", Random(seed=seed)),
        _weight("magnitude", Magnitude()),
        Method(name="magnitude, global", criterion=lambda _: Magnitude(), allocation=Global(normalize="mean")),
        _weight("snip", SNIP()),
        _weight("taylor", Taylor()),
        _weight("wanda", Wanda()),
        _weight("obd", OBD()),
        _weight("woodfisher", WoodFisher()),
        _weight("obs", OBS(), OBSUpdate()),
        _weight("magnitude + obs_update", Magnitude(), OBSUpdate()),
        Method(name="sparsegpt", criterion=lambda keep: SparseGPT(keep=keep), repair=(SparseGPTUpdate(),)),
        _weight("exact_obs", ExactOBS(), OBSUpdate()),
    )


def channels(seed: int, *, fitted: int = 8) -> tuple[Method, ...]:
    """Channels, the same share of every group, a budget in multiply-accumulates; `fitted` batches for least squares."""
    least_squares = LeastSquares(batches=fitted)
    return (
        _channel("random", Random(seed=seed)),
        _channel("magnitude", Magnitude(p=1)),
        _channel("fpgm", FPGM()),
        _channel("apoz", APoZ()),
        _channel("hrank", HRank()),
        _channel("taylor", Taylor()),
        _channel("random + least_squares", Random(seed=seed), least_squares),
        _channel("magnitude + least_squares", Magnitude(p=1), least_squares),
        _channel("thinet", ThiNet(), least_squares),
        _channel("lasso", Lasso(), least_squares),
        _channel("obs_channel", OBSChannel(), OBSUpdate()),
    )


def sentences(seed: int) -> tuple[Method, ...]:
    """What large language models are cut with: one half of every layer, as it comes and two of every four."""
    plain = (
        _weight("random", Random(seed=seed)),
        _weight("magnitude", Magnitude()),
        _weight("wanda", Wanda()),
        Method(name="sparsegpt", criterion=lambda keep: SparseGPT(keep=keep), repair=(SparseGPTUpdate(),)),
    )
    pattern = NM(n=2, m=4)
    return (
        *plain,
        *(Method(name=f"{m.name} 2:4", criterion=m.criterion, granularity=pattern, of="weights") for m in plain[:-1]),
        Method(
            name="sparsegpt 2:4",
            criterion=lambda _: SparseGPT(n=2, m=4),
            repair=(SparseGPTUpdate(),),
            granularity=pattern,
            of="weights",
        ),
    )


#: On a network that takes its time, these.
_FEW = (
    "random",
    "magnitude",
    "wanda",
    "obs",
    "sparsegpt",
    "magnitude + obs_update",
    "taylor",
    "magnitude + least_squares",
    "obs_channel",
)


def few(every: tuple[Method, ...]) -> tuple[Method, ...]:
    """The methods that are tried on large networks too."""
    return tuple(method for method in every if method.name in _FEW)


def _weight(name: str, criterion: Criterion, *repair: Repair) -> Method:
    return Method(name=name, criterion=lambda _: criterion, repair=repair, granularity=Weight())


def _channel(name: str, criterion: Criterion, *repair: Repair) -> Method:
    return Method(name=name, criterion=lambda _: criterion, repair=repair, granularity=Channel(), of="macs")
