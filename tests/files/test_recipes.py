"""Recipes as files: read back as they were, and refused with a sentence where they are wrong."""

from dataclasses import replace

import pytest

from secateur.core.errors import CodecError, SecateurError
from secateur.files import recipe_from_toml, recipe_to_toml
from secateur.methods import METHODS

GOOD = recipe_to_toml(METHODS["network_slimming"]())


@pytest.mark.parametrize("name", list(METHODS))
def test_round_trip(name):
    recipe = METHODS[name]()
    assert recipe_from_toml(recipe_to_toml(recipe)) == recipe


def test_round_trip_of_an_empty_one():
    bare = replace(METHODS["li2017"](), budget=None, repair=(), finetune=None, paper=None)
    assert recipe_from_toml(recipe_to_toml(bare)) == bare


def test_what_a_person_would_write():
    text = """
        schema = 1
        budget = "half the params"
        repair = [{name = "batch_norm", batches = 7}]
        [criterion]
        name = "magnitude"
        p = 2
        [granularity]
        name = "weight"
        [allocation]
        name = "global"
        normalize = "max"
        [schedule]
        name = "cubic"
        steps = 4
        [finetune]
        epochs = 1
        lr = 0.1
    """
    recipe = recipe_from_toml(text)
    assert (recipe.budget.keep, recipe.budget.of) == (0.5, "params")
    assert recipe.criterion.p == 2
    assert recipe.repair[0].batches == 7
    assert (recipe.schedule.rounds, recipe.finetune.epochs, recipe.finetune.optimizer) == (4, 1, "sgd")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema = 1", "schema = 2", "schema = 1"),
        ("schema = 1", "schema 1", "not TOML"),
        ("[criterion]", "[criterio]", "unknown entry 'criterio', missing table [criterion]"),
        ('name = "bn_scale"', 'name = "bn_scal"', "Did you mean 'bn_scale'"),
        ('name = "bn_scale"', "name = 3", "must be a table with a name"),
        ("strength = 0.0001", "force = 0.0001", "no setting 'force'. It has: strength"),
        ("strength = 0.0001", 'strength = "much"', "must be a float"),
        ("strength = 0.0001", "strength = true", "must be a float"),
        ("strength = 0.0001", "strength = -1.0", "strength must be 0 or more"),
        ('normalize = "none"', 'normalize = "nil"', "normalize must be"),
        ('"0.5 macs"', '"0.5 elephants"', "of must be one of"),
    ],
)
def test_bad_recipes(old, new, message):
    assert old in GOOD
    with pytest.raises(SecateurError) as error:
        recipe_from_toml(GOOD.replace(old, new, 1))
    assert message in str(error.value)


def test_unwritable_settings():
    recipe = METHODS["li2017"]()
    odd = replace(recipe, granularity=replace(recipe.granularity))
    object.__setattr__(odd.granularity, "over", 'quo"te')
    with pytest.raises(CodecError, match="cannot be written"):
        recipe_to_toml(odd)
