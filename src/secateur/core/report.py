"""Measurements and the report: what a network costs, before and after, and how that is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Latency:
    """Time of one forward pass, and all that such a figure depends on.

    Attributes:
        runtime: "torch" or "onnxruntime".
        p50: median milliseconds.
        p90: 90th percentile, milliseconds.
        device: "cpu".
        threads: threads the runtime may use.
        batch: first dim of the first example tensor.
        repeats: timed passes.
    """

    runtime: str
    p50: float
    p90: float
    device: str
    threads: int
    batch: int
    repeats: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one network costs and how good it is.

    Attributes:
        macs: multiply-accumulates of one forward pass on the example inputs.
        params: parameters (tied weights once).
        nonzeros: parameters that are not zero.
        bytes: size of the network as a safetensors file.
        latency: one entry per runtime.
        quality: figures by name, higher is better ("top1": 0.991).
    """

    macs: int
    params: int
    nonzeros: int
    bytes: int
    latency: tuple[Latency, ...] = ()
    quality: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Width:
    """How many units of one group there were, were to stay, and are.

    Attributes:
        group: its name.
        before: units of the dense network.
        after: units that stayed.
        pinned: why the group may not be cut; empty if it may.
        asked: the fraction of the units that the allocation asked for, before whole units, multiples and minimums had
            their say; None where it was not asked: pinned and frozen groups, plans by hand.
        frozen: whether the group was not to be cut by the user's own word.
    """

    group: str
    before: int
    after: int
    pinned: str = ""
    asked: float | None = None
    frozen: bool = False

    @property
    def reached(self) -> float:
        """The fraction of the units that stayed."""
        return self.after / max(self.before, 1)

    @property
    def whole_because(self) -> str:
        """Why nothing was to go; empty where something might."""
        return self.pinned or ("frozen by the constraints" if self.frozen else "")


@dataclass(frozen=True, slots=True)
class InTime:
    """A time limit, and the share of the multiply-accumulates that it was turned into by measuring.

    Times of networks other than the dense one are `dense` times the ratio to the dense network, measured beside it.

    Attributes:
        asked: the limit in words, "8 ms in onnxruntime".
        limit: the same in milliseconds.
        keep: what may remain of the multiply-accumulates; 1 if the dense network meets the limit.
        ms: median of the network of that share, as measured when it was chosen.
        dense: median of the dense network in milliseconds.
        tried: how many networks were measured for it.
        final: median of the network in the end; None if it is the one that was chosen.
    """

    asked: str
    limit: float
    keep: float
    ms: float
    dense: float
    tried: int
    final: float | None = None

    def __str__(self) -> str:
        """One or two sentences."""
        if self.keep == 1:
            found = f"the dense network takes {self.dense:.3g} ms, so nothing has to go"
        else:
            found = f"{self.keep:.3g} of the MACs took {self.ms:.3g} ms, the dense network {self.dense:.3g} ms"
        shipped = "" if self.final is None else f"; the network in the end takes {self.final:.3g} ms"
        late = "" if self.final is None or self.final <= self.limit else ", which is more than was asked for"
        limit = "" if self.asked.startswith(f"{self.limit:g} ms") else f" ({self.limit:.3g} ms)"
        return f"Time: asked for {self.asked}{limit}; {found}{shipped}{late}."


@dataclass(frozen=True, slots=True)
class CompressionReport:
    """The result of a compression.

    Attributes:
        before: the dense network.
        after: the shrunk network.
        widths: every group of units.
        budget: what was asked for, in words.
        reached: fraction of the budget's unit that remains.
        equivalence: largest relative difference between masked and shrunk outputs that was observed.
        plan_digest: hash of the plan.
        recipe: the recipe as text.
        papers: what to cite.
        unknown_ops: operators without a rule.
        environment: versions, processor, threads.
        controls: other networks measured for comparison, by name.
        time: how a time limit was met; None if none was asked for.
        schema: version of this record.
    """

    before: Measurement
    after: Measurement
    widths: tuple[Width, ...]
    budget: str
    reached: float
    equivalence: float
    plan_digest: str
    recipe: str
    papers: tuple[str, ...] = ()
    unknown_ops: Mapping[str, int] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    controls: Mapping[str, Measurement] = field(default_factory=dict)
    time: InTime | None = None
    schema: int = SCHEMA

    @property
    def compression_ratio(self) -> float:
        """Parameters before over non-zero parameters after."""
        return self.before.params / max(self.after.nonzeros, 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and dicts, ready for JSON."""
        return asdict(self)
