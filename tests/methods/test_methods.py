import inspect
import re

import pytest

import secateur.allocation
import secateur.core.paper
import secateur.core.recipe
import secateur.criteria
import secateur.granularity
import secateur.regularizers
import secateur.repair
import secateur.schedules
import secateur.surgeries
from secateur.core.budget import Budget
from secateur.core.errors import UnknownNameError
from secateur.core.recipe import Recipe
from secateur.core.scores import Scope
from secateur.methods import METHODS, recipe
from secateur.planning.check import check

every = pytest.mark.parametrize("name", METHODS)


@every
def test_builds_a_recipe_whose_parts_can_meet(name):
    made = recipe(name)
    assert isinstance(made, Recipe)
    check(made.criterion, made.granularity)
    assert isinstance(made.budget, Budget)
    at_work = made.regularizer is not None or made.surgery is not None or made.rewind is not None
    assert at_work == (made.sparsify is not None)
    assert recipe(name) == made


@every
def test_cites(name):
    made = recipe(name)
    assert made.paper is not None
    assert made.cite()[0] == made.paper.cite()
    assert len(set(made.cite())) == len(made.cite())


@every
def test_docstring(name):
    text = inspect.getdoc(METHODS[name])
    sections = re.findall(r"^(\w+):", text, re.MULTILINE)
    assert sections == ["Paper", "Reported", "Differs"]
    told = re.findall(r"arXiv:([\d.]+)", text)  # a paper from before arXiv has none
    assert re.findall(r"arXiv:([\d.]+)", recipe(name).cite()[0]) == told[:1]


@every
def test_is_named_after_its_file(name):
    assert METHODS[name].__module__ == f"secateur.methods.{name}"
    assert METHODS[name].__name__ == name


@every
def test_global_without_normaliser_only_where_scores_are_comparable(name):
    made = recipe(name)
    if "Global(normalize='none')" in repr(made):
        assert made.criterion.traits.comparable == Scope.GLOBAL


@every
def test_repr_makes_it_again(name):
    known = {"Budget": Budget}
    for module in (
        secateur.allocation, secateur.core.paper, secateur.core.recipe, secateur.criteria, secateur.granularity,
        secateur.regularizers, secateur.repair, secateur.schedules, secateur.surgeries,
    ):  # fmt: skip
        known |= vars(module)
    assert eval(repr(recipe(name)), known) == recipe(name)


def test_near_misses():
    with pytest.raises(UnknownNameError, match="Did you mean 'taylor2019'"):
        recipe("taylor")
    with pytest.raises(UnknownNameError, match=r"no recipe is called 'lil2017'\. Did you mean 'li2017'"):
        recipe("lil2017")
