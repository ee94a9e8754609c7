"""The contract of criteria."""

from __future__ import annotations

import copy
import dataclasses
import doctest
import pickle
import re
import sys
from collections.abc import Mapping

import torch
from torch import Tensor

from secateur.core.budget import Budget
from secateur.core.contracts import Criterion, ElementCriterion, Granularity, ModuleCriterion, UnitCriterion
from secateur.core.errors import MissingEvidenceError
from secateur.core.evidence import Evidence
from secateur.core.rng import generator
from secateur.core.scores import Scores
from secateur.granularity import Channel, Layer, Weight
from secateur.planning import plan, score
from secateur.testing import case as cases
from secateur.testing.case import Case

_CLOSE = 1e-9


class CriterionContract:
    """What every criterion promises. Subclass it, and parametrise `criterion` or define it as a fixture.

    Example:
        ```python
        @pytest.mark.parametrize("criterion", MyCriterion.examples(), ids=repr)
        class TestMyCriterion(CriterionContract): ...
        ```
    """

    def test_c1_shape_dtype_device(self, criterion: Criterion) -> None:
        """One floating-point number for each entry or unit, on the device of the evidence."""
        subject = _subject(criterion)
        evidence = subject.evidence(criterion.needs)
        device = next(t.device for values in evidence.values.values() for t in values.values())
        for answer, shape in _answers(criterion, subject, evidence):
            assert tuple(answer.shape) == shape
            assert answer.is_floating_point()
            assert answer.device == device

    def test_c2_finite(self, criterion: Criterion) -> None:
        """No NaN or infinity for zero weights, for equal weights, or where a group has a single unit."""
        usual = _subject(criterion)
        for subject in (cases.filled(usual, 0.0), cases.filled(usual, 1.0), cases.normed(1, 1)):
            for values in _scores(criterion, subject).values():
                assert bool(torch.isfinite(values).all())

    def test_c3_zero_is_least(self, criterion: Criterion) -> None:
        """A unit whose tensors are all zero ranks last, if the criterion says so."""
        if not criterion.traits.zero_is_least:
            return
        subject = _subject(criterion)
        for name, unit, silenced in _silenced(criterion, subject):
            found = _scores(criterion, silenced)[name]
            others = found[torch.arange(len(found)) != unit]
            assert float(found[unit]) <= float(others.min())

    def test_c4_reads_only(self, criterion: Criterion) -> None:
        """No tensor of the evidence is written to."""
        subject = _subject(criterion)
        evidence = subject.evidence(criterion.needs)
        tensors = [t for values in evidence.values.values() for t in values.values()]
        before = [(t._version, t.clone()) for t in tensors]  # noqa: SLF001  torch's own write counter
        _scored(criterion, subject, evidence)
        for tensor, (version, value) in zip(tensors, before, strict=True):
            assert tensor._version == version  # noqa: SLF001
            assert torch.equal(tensor, value)

    def test_c5_deterministic(self, criterion: Criterion) -> None:
        """The same evidence gives the same scores, bit by bit, whatever the global random state, which stays put."""
        subject = _subject(criterion)
        evidence = subject.evidence(criterion.needs)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            before = torch.get_rng_state()
            first = _scored(criterion, subject, evidence).values
            assert torch.equal(torch.get_rng_state(), before)
            torch.manual_seed(2)
            second = _scored(criterion, subject, evidence).values
        assert all(torch.equal(first[name], second[name]) for name in first)

    def test_c6_permutation(self, criterion: Criterion) -> None:
        """Units in another order get the same scores in that order, if the criterion says so."""
        if not criterion.traits.permutation_equivariant:
            return
        subject = _subject(criterion)
        for group in subject.graph.cuttable.values():
            order = torch.randperm(group.units, generator=generator(0, group.name))
            found = _scores(criterion, cases.permuted(subject, group, order))
            for name, wanted in _scores(criterion, subject).items():
                _close(found[name], wanted[order] if name == group.name else wanted)

    def test_c7_scale(self, criterion: Criterion) -> None:
        """Multiplying a group's weights multiplies its scores by one number, or changes nothing, as promised."""
        if criterion.traits.scale == "none":
            return
        subject = _subject(criterion)
        group = subject.first()
        before = _scores(criterion, subject)[group.name]
        after = _scores(criterion, cases.scaled(subject, group, 3.0))[group.name]
        match criterion.traits.scale:
            case "equivariant":
                factor = float(after.sum() / before.sum())
                assert factor > 1
                _close(after, before * factor)
            case "invariant":
                _close(after, before)

    def test_c7_rescale_invariant(self, criterion: Criterion) -> None:
        """Multiplying a layer and dividing the next one around a ReLU changes no score, if the criterion says so."""
        if not criterion.traits.rescale_invariant:
            return
        subject = cases.plain()
        before = _scores(criterion, subject)
        for group in subject.graph.cuttable.values():
            for name, after in _scores(criterion, cases.rescaled(subject, group, 3.0)).items():
                _close(after, before[name])

    def test_c8_needs(self, criterion: Criterion) -> None:
        """What is declared is read, what is read is declared, and what is missing is named."""
        subject = _subject(criterion)
        evidence = subject.evidence(criterion.needs)
        _scored(criterion, subject, evidence)
        assert evidence.reads == set(criterion.needs)
        for missing in criterion.needs:
            less = Evidence({k: v for k, v in evidence.values.items() if k is not missing}, evidence.samples)
            try:
                _scored(criterion, subject, less)
            except MissingEvidenceError as error:
                assert missing.__name__ in str(error)
            else:
                raise AssertionError(f"{criterion!r} does without {missing.__name__}, which it declares as needed")

    def test_c8_data_free(self, criterion: Criterion) -> None:
        """`traits.data_free` says whether any of the needs wants data."""
        assert criterion.traits.data_free == (not any(need.wants_data for need in criterion.needs))

    def test_c9_half_precision(self, criterion: Criterion) -> None:
        """Half-precision networks are scored in float32 or better."""
        for dtype in (torch.bfloat16, torch.float16):
            half = cases.in_precision(_subject(criterion), dtype)
            if not criterion.traits.data_free and dtype is torch.float16:
                continue  # not every CPU has float16 convolutions
            evidence = half.evidence(criterion.needs)
            for answer, _ in _answers(criterion, half, evidence):
                assert torch.finfo(answer.dtype).bits >= 32
                assert bool(torch.isfinite(answer).all())
            if criterion.traits.data_free:
                wanted = _scores(criterion, cases.in_precision(half, torch.float32))
                for name, values in _scores(criterion, half).items():
                    assert torch.allclose(values, wanted[name], rtol=1e-5, atol=0)

    def test_c10_value(self, criterion: Criterion) -> None:
        """A criterion is a value: its repr makes it again; it pickles, hashes, copies, and cannot be changed."""
        assert dataclasses.is_dataclass(criterion)
        check_value(criterion)
        for field in dataclasses.fields(criterion):
            try:
                setattr(criterion, field.name, getattr(criterion, field.name))
            except dataclasses.FrozenInstanceError:
                continue
            raise AssertionError(f"{criterion!r} is not frozen")

    def test_c12_ties(self, criterion: Criterion) -> None:
        """Among equal units those with lower numbers stay."""
        subject = _subject(criterion)
        found = subject.evidence(criterion.needs)
        same = {k: {n: torch.ones_like(t) for n, t in values.items()} for k, values in found.values.items()}
        scores = _scored(criterion, subject, Evidence(same, found.samples))
        made = plan(subject.graph, scores, Budget(keep=0.5, of="units"))
        for name, keep in made.kept.items():
            if bool((scores.values[name] == scores.values[name][0]).all()):
                assert keep.tolist() == sorted(keep.tolist(), reverse=True)
            else:
                assert not criterion.traits.permutation_equivariant

    def test_c13_docstring(self, criterion: Criterion) -> None:
        """The docstring cites, states formula, shapes, cost and departures, and shows an example that runs."""
        check_docstring(type(criterion), ("Paper", "Formula", "Shapes", "Cost", "Differs", "Example"))
        if criterion.paper is not None:
            assert criterion.paper.cite()


def check_value(plugin: object) -> None:
    """A plug-in is a value: its repr makes it again; it pickles, hashes and copies."""
    known = vars(sys.modules[type(plugin).__module__])
    assert eval(repr(plugin), dict(known)) == plugin
    assert pickle.loads(pickle.dumps(plugin)) == plugin
    assert copy.deepcopy(plugin) == plugin
    assert hash(copy.deepcopy(plugin)) == hash(plugin)


def check_docstring(plugin: type, sections: tuple[str, ...]) -> None:
    """Make sure that the docstring of `plugin` has `sections` and that its examples run."""
    text = plugin.__doc__ or ""
    found = re.findall(r"^\s*([A-Z]\w+):", text, re.MULTILINE)
    missing = [name for name in sections if name not in found]
    assert not missing, f"the docstring of {plugin.__name__} lacks {', '.join(missing)}"
    known = vars(sys.modules[plugin.__module__])
    runner = doctest.DocTestRunner(verbose=False)
    for test in doctest.DocTestFinder(recurse=False).find(plugin, globs=dict(known)):
        runner.run(test)
    assert not runner.failures, f"an example in the docstring of {plugin.__name__} gives something else"
    assert runner.tries or "Example" not in sections, f"the example of {plugin.__name__} holds no >>> line"


def _scores(criterion: Criterion, subject: Case) -> Mapping[str, Tensor]:
    return _scored(criterion, subject, subject.evidence(criterion.needs)).values


def _scored(criterion: Criterion, subject: Case, evidence: Evidence) -> Scores:
    return score(subject.graph, criterion, evidence, granularity=_units(criterion))


def _units(criterion: Criterion) -> Granularity:
    return Layer() if isinstance(criterion, ModuleCriterion) else Channel()


def _subject(criterion: Criterion) -> Case:
    """A network that holds what the criterion scores."""
    return cases.residual() if isinstance(criterion, ModuleCriterion) else cases.normed()


def _silenced(criterion: Criterion, subject: Case) -> list[tuple[str, int, Case]]:
    """Block, unit, and the network with all parameters of that unit at zero."""
    if isinstance(criterion, ModuleCriterion):
        (block,) = Layer().blocks(subject.graph)
        return [(block.name, unit, cases.without(subject, name)) for unit, name in enumerate(block.modules)]
    groups = subject.graph.cuttable.values()
    ends = [(group, unit) for group in groups for unit in (0, group.units - 1)]
    return [(group.name, unit, cases.silenced(subject, group, unit)) for group, unit in ends]


def _answers(criterion: Criterion, subject: Case, evidence: Evidence) -> list[tuple[Tensor, tuple[int, ...]]]:
    """Everything that the criterion can be asked for, with the shape that is due."""
    match criterion:
        case ElementCriterion():
            tensors = dict(subject.model.named_parameters())
            names = [name for block in Weight().blocks(subject.graph) for name in block.tensors]
            return [(criterion.saliency(name, evidence), tuple(tensors[name].shape)) for name in names]
        case UnitCriterion():
            return [(criterion.score(g, evidence), (g.units,)) for g in subject.graph.cuttable.values()]
        case ModuleCriterion():
            modules = subject.graph.blocks
            return [(criterion.score(modules, evidence), (len(modules),))]
        case _:
            raise AssertionError(f"{criterion!r} is no ElementCriterion, UnitCriterion or ModuleCriterion")


def _close(found: Tensor, wanted: Tensor) -> None:
    assert torch.allclose(found, wanted, rtol=_CLOSE, atol=_CLOSE * float(wanted.abs().max())), (found, wanted)
