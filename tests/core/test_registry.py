import pytest

from secateur.core.errors import UnknownNameError
from secateur.core.registry import Registry


@pytest.fixture
def fruit():
    registry = Registry("fruit")
    for name in ("apple", "apricot", "pear"):
        registry(name)(type(name.title(), (), {}))
    return registry


def test_register_and_find(fruit):
    assert fruit["pear"].__name__ == "Pear"
    assert list(fruit) == ["apple", "apricot", "pear"]
    assert len(fruit) == 3
    assert fruit.name_of(fruit["pear"]) == "pear"
    assert fruit.name_of(fruit["pear"]()) == "pear"


def test_near_misses(fruit):
    with pytest.raises(
        UnknownNameError, match=r"no fruit is called 'appel'\. Did you mean 'apple'\? Known: apple, apricot, pear"
    ):
        fruit["appel"]


def test_far_misses_get_no_hint(fruit):
    with pytest.raises(UnknownNameError) as caught:
        fruit["zzz"]
    assert "Did you mean" not in str(caught.value)
    assert "apple, apricot, pear" in str(caught.value)


def test_a_name_is_given_once(fruit):
    with pytest.raises(ValueError, match="'pear' is registered already"):
        fruit("pear")(object())


def test_not_registered(fruit):
    with pytest.raises(UnknownNameError, match="@fruit"):
        fruit.name_of(object())


def test_is_a_mapping(fruit):
    assert "pear" in fruit
    assert fruit.get("pear") is fruit["pear"]
    assert len(fruit) == len(list(fruit.values()))


def test_asking_for_what_is_not_there_is_not_an_error(fruit):
    assert "stone" not in fruit
    assert fruit.get("stone") is None


def test_entry_points_are_loaded_once(monkeypatch):
    registry, loads = Registry("nut"), []

    class Point:
        def load(self):
            loads.append(1)
            registry("hazel")(object())

    monkeypatch.setattr(
        "secateur.core.registry.entry_points", lambda group: [Point()] if group == "secateur.nut" else []
    )
    assert list(registry) == ["hazel"]
    assert registry["hazel"] is registry["hazel"]
    assert loads == [1]


def test_length_counts_entry_points(monkeypatch):
    registry = Registry("seed")

    class Point:
        def load(self):
            registry("poppy")(object())

    monkeypatch.setattr("secateur.core.registry.entry_points", lambda group: [Point()])
    assert len(registry) == 1


def test_what_cannot_be_loaded_is_named_and_left_out(monkeypatch):
    registry = Registry("nut")

    class Point:
        name, value, dist = "hazel", "nuts.hazel", type("Dist", (), {"name": "nuts"})

        def load(self):
            raise ImportError("no module named shell")

    class Good:
        def load(self):
            registry("wal")(object())

    monkeypatch.setattr("secateur.core.registry.entry_points", lambda group: [Point(), Good()])
    with pytest.warns(UserWarning, match=r"nuts offers a nut under .*'hazel = nuts.hazel'.*\(ImportError: no module"):
        assert list(registry) == ["wal"]
