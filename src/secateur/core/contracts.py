"""Every plug-in contract on one screen. A plug-in is a frozen dataclass of hyper-parameters with one or two methods.

Register it with the decorator of its folder (`@criterion("taylor")`) in its own file. Other packages do the same and
name their module under the entry-point group `secateur.<kind>`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from torch import Tensor, nn

from secateur.core.evidence import Evidence
from secateur.core.example import Example
from secateur.core.groups import ChannelGraph, Group
from secateur.core.moment import Moment
from secateur.core.paper import Paper
from secateur.core.quantized import Quantized
from secateur.core.scores import Scope, Scores

if TYPE_CHECKING:
    from secateur.core.plan import PruningPlan

#: One batch of a user's data, `(inputs, target)`; inputs are a tensor, a tuple of arguments or a dict of keywords.
Batch = tuple[Any, Any]
#: Data that can be walked through more than once: a list of batches, a DataLoader, …
Batches = Iterable[Batch]
#: `(output of the model, target) -> scalar`
Loss = Callable[[Any, Any], Tensor]
#: `(model) -> figures by name`, higher is better, or one such figure.
Quality = Callable[[nn.Module], "float | Mapping[str, float]"]
#: `(kept units by block) -> quality of the network that keeps so many`, higher is better.
Evaluate = Callable[[Mapping[str, int]], float]
#: `(what is being done, steps done, steps in all)`; called often, must be cheap.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Traits:
    """Promises of a criterion; each one switches a contract test on.

    Attributes:
        scale: what happens to the scores when one group's weights are multiplied by c > 0.
        rescale_invariant: multiplying a layer by c and dividing the next one by c around a ReLU changes nothing.
        zero_is_least: a unit whose tensors are all zero gets the lowest score.
        permutation_equivariant: permuting units permutes scores.
        data_free: needs no batches.
        comparable: the widest scope in which scores may be ranked.
    """

    scale: Literal["equivariant", "invariant", "none"] = "none"
    rescale_invariant: bool = False
    zero_is_least: bool = True
    permutation_equivariant: bool = True
    data_free: bool = True
    comparable: Scope = Scope.GROUP


@dataclass(frozen=True, slots=True)
class Step:
    """What a collector sees of one batch, after the forward pass (and the backward pass, where one is asked for).

    Attributes:
        gradients: parameter name to the gradient of the batch's mean loss; empty unless a collector wants it.
        samples: examples in the batch.
        example: the inputs, for collectors that run the model themselves.
        target: what goes with them.
        loss: `(output, target) -> scalar`.
        walk: how many times the data were walked through before.
    """

    gradients: Mapping[str, Tensor]
    samples: int
    example: Example
    target: Any
    loss: Loss
    walk: int = 0


class Collector(ABC):
    """Gathers one quantity; the only mutable plug-in, and it lives only inside `collect`.

    Attributes:
        wants_data: it is of no use without batches.
        wants_gradients: `Step.gradients` must hold the gradient of each batch's mean loss.
        runs_itself: it runs the model in `update`, as second derivatives and gradients of single examples ask for. It
            gets a copy of the model for itself, whose parameters require gradients, and `collect` runs nothing for it.
        walks: how many times it has to see all batches.
        additive: evidence of two halves of the data merges into that of the whole. Where it does not, `merge` gives the
            mean, weighted by examples.
    """

    wants_data: ClassVar[bool] = True
    wants_gradients: ClassVar[bool] = False
    runs_itself: ClassVar[bool] = False
    walks: ClassVar[int] = 1
    additive: ClassVar[bool] = True

    @abstractmethod
    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Look at `model`, register hooks; leaving the context removes them."""

    @abstractmethod
    def update(self, step: Step) -> None:
        """Take in one batch."""

    @abstractmethod
    def result(self) -> Mapping[str, Tensor]:
        """The quantity by tensor name (or by that of a module of `graph.blocks`), detached."""

    @staticmethod
    @abstractmethod
    def merge(a: Mapping[str, Tensor], b: Mapping[str, Tensor], na: int, nb: int) -> Mapping[str, Tensor]:
        """The result for the examples of both, given how many each saw."""


class Criterion(ABC):  # noqa: B024  abstract all the same: derive from one of the three kinds below
    """Says how much each unit matters. It sees evidence, never the model.

    Attributes:
        paper: where it was published.
        needs: what must be collected for it.
        traits: what it promises.
        in_order: blocks are decided in order of execution, and each is scored on weights in which what the blocks
            before it lose is zero already. Only for criteria that need nothing but weights.
    """

    paper: ClassVar[Paper | None] = None
    needs: ClassVar[tuple[type[Collector], ...]] = ()
    traits: ClassVar[Traits] = Traits()
    in_order: ClassVar[bool] = False

    def of_share(self, keep: float) -> Self:
        """The same criterion where the share `keep` stays, for those whose scores depend on it; by default itself."""
        return self

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]


class ElementCriterion(Criterion):
    """Scores every entry of a tensor, and so works with every granularity."""

    @abstractmethod
    def saliency(self, tensor: str, evidence: Evidence) -> Tensor:
        """Score of every entry of `tensor`, in its shape; additive over entries."""


class UnitCriterion(Criterion):
    """Scores whole units of a group; meets structured granularities only."""

    @abstractmethod
    def score(self, group: Group, evidence: Evidence) -> Tensor:
        """Score of every unit, `(group.units,)`."""


class ModuleCriterion(Criterion):
    """Scores whole modules; meets modular granularities only."""

    @abstractmethod
    def score(self, modules: Sequence[str], evidence: Evidence) -> Tensor:
        """Score of every module, `(len(modules),)`."""


@dataclass(frozen=True, slots=True)
class Block:
    """What a granularity ranks within: a group of channels, one weight tensor, or the residual blocks of a network.

    Attributes:
        name: group or tensor name, or what the granularity calls it.
        units: how many units it holds.
        tensors: the tensors whose saliencies decide about its units.
        group: the channel group, where units are channels.
        modules: the module behind each unit, where units are whole modules.
        minimum: fewest units that may stay.
        maximum: most units that may stay, where a pattern (2:4) says so; None for all.
        run: units are chosen in runs of so many neighbours, each of which keeps equally many; 0 for one run of all.
        rows: units come in so many equal parts, each in rows of the weight of its own; 1 where a unit crosses all rows.
    """

    name: str
    units: int
    tensors: tuple[str, ...]
    group: Group | None = None
    modules: tuple[str, ...] = ()
    minimum: int = 1
    maximum: int | None = None
    run: int = 0
    rows: int = 1


class Granularity(ABC):
    """Says what one unit is.

    Attributes:
        structured: whether what goes can be taken out, so that the network gets smaller.
        modular: whether units are whole modules and not channels of a group; only for structured ones.
        heads: whether it needs a graph of whole attention heads, `trace(..., heads=True)`.
    """

    paper: ClassVar[Paper | None] = None
    structured: ClassVar[bool]
    modular: ClassVar[bool] = False
    heads: ClassVar[bool] = False

    @abstractmethod
    def blocks(self, graph: ChannelGraph) -> Sequence[Block]:
        """Everything that may be ranked and removed."""

    def omitted(self, graph: ChannelGraph) -> Mapping[str, str]:
        """Tensors that are left whole since they do not divide into such units, and why; by default none."""
        return {}

    @abstractmethod
    def reduce(self, block: Block, saliency: Mapping[str, Tensor]) -> Tensor:
        """Entry saliencies of `block.tensors` to unit scores `(block.units,)`; ones are counted."""

    @abstractmethod
    def expand(self, graph: ChannelGraph, block: Block, keep: Tensor) -> Mapping[str, Tensor]:
        """`keep` `(block.units,)` to boolean masks in the shape of each parameter that it silences."""

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]


class Allocation(ABC):
    """Says how many units each block keeps.

    Attributes:
        fills: as many units stay as fit the budget; if not, what scores zero goes though there were room.
        whole: it chooses among whole numbers of units from the start, so that it asks for what it gets.
    """

    fills: ClassVar[bool] = True
    whole: ClassVar[bool] = False

    @abstractmethod
    def counts(self, scores: Scores, limits: Limits) -> Mapping[str, int]:
        """Units to keep by block name; `limits` knows what a choice costs and which widths are allowed."""

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]


class Limits(ABC):
    """What an allocation may know of budget and structure, without seeing either."""

    @property
    @abstractmethod
    def blocks(self) -> Mapping[str, int]:
        """Units of every block that may be cut, in order of execution."""

    @abstractmethod
    def round(self, block: str, wanted: float) -> int:
        """The allowed number of units nearest to `wanted` from below, never less than the minimum."""

    @abstractmethod
    def fits(self, counts: Mapping[str, int]) -> bool:
        """Whether these numbers of kept units meet the budget."""

    @abstractmethod
    def next_up(self, block: str, count: int) -> int:
        """The next allowed number of units above `count`, or `count` if there is none."""

    @abstractmethod
    def shape(self, block: str) -> tuple[int, ...]:
        """The shape of the weight that the units of a block are entries or filters of: of the first, if many."""

    @abstractmethod
    def spent(self, counts: Mapping[str, int]) -> float:
        """The cost at these numbers of kept units, in the budget's own unit."""

    @property
    @abstractmethod
    def allowed(self) -> float:
        """The most that may be spent."""

    @abstractmethod
    def topology(self, block: str) -> str:
        """What the block is made of, sizes aside: equal for blocks that play the same part in the network."""

    @abstractmethod
    def work(self, block: str) -> int:
        """Multiply-accumulates of the operators that read the weight of `shape`, before any cut."""


class Search(ABC):
    """Looks for the numbers of kept units at which a network is best, by trying them.

    Attributes:
        paper: where it was published.
    """

    paper: ClassVar[Paper | None] = None

    @abstractmethod
    def run(self, limits: Limits, evaluate: Evaluate, evaluations: int, seed: int) -> None:
        """Call `evaluate` `evaluations` times at most, with counts that fit at least once; the best such one wins.

        The same `limits`, qualities, `evaluations` and `seed` must lead to the same calls, so that a search that was
        broken off goes on when it is run again and known qualities are answered at once.
        """

    def worth(self, counts: Mapping[str, int], quality: float, limits: Limits) -> float:
        """What the search wants to be large: the quality, by default."""
        return quality

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]


class Schedule(ABC):
    """Says how the kept fraction moves in time.

    Attributes:
        paper: where it was published.
        trains: whether the network is trained after every round; if not, rounds follow each other at once, each with
            new scores, also where there is no data, and only the last is trained after.
    """

    paper: ClassVar[Paper | None] = None
    trains: ClassVar[bool] = True

    @property
    @abstractmethod
    def rounds(self) -> int:
        """How many times to prune."""

    @abstractmethod
    def keep(self, t: float, final: float) -> float:
        """Kept fraction at time `t` in [0, 1]; `keep(1, final) == final`, never rising."""

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]


class Regularizer(ABC):
    """Says what training is charged for.

    A regulariser holds settings only. What it has to remember from step to step lies in `Moment.memory`.

    Attributes:
        paper: where it was published.
        takes: `after_step` or `after_epoch` takes what is charged, by a proximal map, so the loss is not charged too.
    """

    paper: ClassVar[Paper | None] = None
    takes: ClassVar[bool] = False

    def attach(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Add what the penalty needs to `model` (gates, say); leaving the context restores it. By default nothing.

        Parameters that are added are trained beside the others. What they say in the end is baked into the others.
        """
        return nullcontext()

    def start(self, at: Moment) -> None:
        """Fill `at.memory` before the first step. By default nothing."""

    @abstractmethod
    def penalty(self, at: Moment) -> Tensor:
        """Scalar to add to the loss; `at.value(name)` is a parameter as the forward pass sees it."""

    def after_step(self, at: Moment) -> None:
        """Change parameters in place after an optimiser step: a proximal map, a projection. By default nothing."""

    def after_epoch(self, at: Moment) -> None:
        """Change `at.memory` at the end of an epoch: dual variables, a coefficient. By default nothing.

        What changes parameters once an epoch does so here.
        """

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]


class Surgery(ABC):
    """Says when and how masks change while the network trains.

    Attributes:
        paper: where it was published.
        straight_through: gradients reach masked entries too, which go on moving and may come back (a soft mask); if
            not, they are zero and have zero gradient (a hard mask).
        holds: masks hold between revisions; if not, what a revision removes is set to zero once, and trains on.
        dense_gradients: `Moment.gradient` must hold those of masked entries too at every revision.
    """

    paper: ClassVar[Paper | None] = None
    straight_through: ClassVar[bool] = False
    holds: ClassVar[bool] = True
    dense_gradients: ClassVar[bool] = False

    def start(self, at: Moment) -> PruningPlan | None:
        """Look at the network before the first step and fill `at.memory`; the first masks, if there are to be any."""
        return None

    def watch(self, at: Moment) -> None:
        """Take note after every optimiser step. By default nothing."""

    @abstractmethod
    def due(self, at: Moment) -> bool:
        """Whether masks are revised after this step."""

    @abstractmethod
    def revise(self, at: Moment) -> PruningPlan:
        """New masks."""

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]


class Repair(ABC):
    """Mends what is kept after a cut.

    Attributes:
        stage: repairs of a lower stage must come first: 0 moves biases, 1 fits weights to what biases leave, 2 takes
            statistics of what comes out in the end.
    """

    stage: ClassVar[int] = 1
    paper: ClassVar[Paper | None] = None
    needs: ClassVar[tuple[type[Collector], ...]] = ()

    @abstractmethod
    def repair_(self, student: nn.Module, dense: nn.Module, plan: PruningPlan, known: Known) -> None:
        """Change `student` (masked by `plan`) in place, given the `dense` network that it came from."""

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]


class Quantizer(ABC):
    """Says which few numbers the entries of a weight may take.

    Attributes:
        paper: where it was published.
        pairs: levels come in pairs of opposite signs, which stay pairs when they are trained.
        monotone: of two entries that stay, the larger one never gets the smaller value.
    """

    paper: ClassVar[Paper | None] = None
    pairs: ClassVar[bool] = False
    monotone: ClassVar[bool] = True

    @property
    def bounds(self) -> tuple[int, int] | None:
        """Smallest and largest code of an even grid; None for quantizers that give a codebook."""
        return None

    @abstractmethod
    def quantize(self, weight: Tensor, *, keep: Tensor | None = None) -> Quantized:
        """Replace every entry of `weight` by a code.

        Args:
            weight: floating point, of any shape.
            keep: boolean, in its shape; what does not stay gets the value 0 and has no say in the levels. None: all
                entries that are not 0 stay.
        """

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]


@dataclass(frozen=True, slots=True)
class Known:
    """What a repair may know: evidence about the dense network, and batches."""

    evidence: Evidence
    batches: Batches


#: How much of a layer its factors keep: one number or several, `(r,)` of an SVD, `(r_in, r_out)` of Tucker-2.
Ranks = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a layer in a forward pass, which is all that its multiply-accumulates depend on beside its shape.

    Attributes:
        batch: examples; of a linear layer all rows of its input.
        inputs: height and width that a convolution reads; nothing of a linear layer.
        outputs: height and width that it writes.
    """

    batch: int
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """Ranks that a layer may get, and what it would lose with them.

    Attributes:
        ranks: the ranks.
        lost: `||W - W'||^2 / ||W||^2` at these ranks, or the least known bound above it.
    """

    ranks: Ranks
    lost: float


class Factorizer(ABC):
    """Says how one layer becomes several thin ones in a row.

    Attributes:
        paper: where it was published.
        sparse: a part of what it makes is a sparse matrix, of which parameters and multiply-accumulates count the
            entries that may be other than zero, as a sparse kernel would.
    """

    paper: ClassVar[Paper | None] = None
    sparse: ClassVar[bool] = False

    @abstractmethod
    def refusal(self, module: nn.Module) -> str:
        """Why `module` cannot be factorized; empty if it can."""

    @abstractmethod
    def full(self, module: nn.Module) -> Ranks:
        """The least ranks at which nothing is lost, whatever the weights."""

    @abstractmethod
    def curve(self, module: nn.Module) -> Sequence[Candidate]:
        """Ranks to choose from, in order of parameters; the more of them, the less is lost."""

    @abstractmethod
    def unfoldings(self, module: nn.Module) -> Sequence[Tensor]:
        """For every rank the matrix of which it is the rank, float64; empty where ranks are not those of matrices."""

    @abstractmethod
    def factorize(self, module: nn.Module, ranks: Ranks) -> nn.Module:
        """The factors as a new module that computes what `module` does, up to what is lost; `module` stays as it is."""

    @abstractmethod
    def weight(self, factors: nn.Module) -> Tensor:
        """The weight that factors stand for, in the shape of that of the layer that they came from."""

    @abstractmethod
    def params(self, module: nn.Module, ranks: Ranks) -> int:
        """Parameters of the factors, biases included."""

    @abstractmethod
    def macs(self, module: nn.Module, ranks: Ranks, call: Call) -> int:
        """Multiply-accumulates of the factors in one call."""

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a network said of a batch, and on the way.

    Attributes:
        output: what its forward pass returned.
        features: what the modules returned that were asked for, by name.
    """

    output: Any
    features: Mapping[str, Tensor]


class DistillLoss(ABC):
    """Says how far a student is from its teacher.

    Attributes:
        paper: where it was published.
        layers: modules, of the same names in student and teacher, whose outputs are compared.
        matching: it is 0 where the student says what the teacher says, and nowhere less.
    """

    paper: ClassVar[Paper | None] = None
    layers: tuple[str, ...] = ()
    matching: ClassVar[bool] = True

    @abstractmethod
    def loss(self, student: Outputs, teacher: Outputs, target: Any) -> Tensor:
        """Scalar to train the student on; `teacher` is given, not trained."""

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]


class CompactBlock(ABC):
    """Says what stands in for a convolution."""

    paper: ClassVar[Paper | None] = None

    @abstractmethod
    def refusal(self, module: nn.Conv2d) -> str:
        """Why it cannot stand in for `module`; empty if it can."""

    @abstractmethod
    def rebuild(self, module: nn.Conv2d) -> nn.Module:
        """A block of the same inputs and outputs, as near to `module` as its form allows; `module` stays as it is."""

    @abstractmethod
    def params(self, module: nn.Conv2d) -> int:
        """Parameters of the block, biases included."""

    @abstractmethod
    def macs(self, module: nn.Conv2d, call: Call) -> int:
        """Multiply-accumulates of the block in one call."""

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]


class Codec(ABC):
    """Writes whole numbers as bytes and reads them back, losslessly."""

    paper: ClassVar[Paper | None] = None

    @abstractmethod
    def encode(self, symbols: Tensor) -> bytes:
        """Bytes of `symbols` `(n,)`, whole numbers from 0 to 2^32 - 1."""

    @abstractmethod
    def decode(self, content: bytes, count: int) -> Tensor:
        """The `count` symbols of `content`, int64 `(count,)`; anything but what `encode` wrote may be a `CodecError`.

        The count is not in the bytes: whoever keeps them knows it, and can judge it before anything is allocated.
        """

    @abstractmethod
    def bound(self, symbols: Tensor) -> float:
        """The most bits that `encode` spends on `symbols`; what it states over the entropy is its overhead."""

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]
