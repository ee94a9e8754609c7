"""`secateur search` as a user meets it."""

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.cli.test_commands import DATA, MINE, call

from secateur.files import load_plan

HELD_OUT = (
    DATA
    + """
def held_out_batches():
    torch.manual_seed(2)
    return [(torch.randn(16, 3, 8, 8), torch.randint(0, 4, (16,)))]
"""
)
WORDS = (
    "search",
    "net.py:make_model",
    "--data",
    "data.py",
    "--budget",
    "0.5 macs",
    "--how",
    "genetic(population=4)",
    "--evaluations",
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(MINE)
    Path("data.py").write_text(HELD_OUT)
    return tmp_path


def test_search_and_go_on(folder, monkeypatch, capsys):
    assert call(monkeypatch, *WORDS, "6") == 0
    assert "6 evaluations" in capsys.readouterr().out
    history = list(csv.DictReader(Path("searched/history.csv").read_text().splitlines()))
    assert len(history) == 6
    told = json.loads(Path("searched/search.json").read_text())
    assert told["reached"] <= 0.5
    plan = load_plan("searched/plan.json")
    assert told["plan"] == plan.digest()
    assert {b.name: plan.width(b.name) for b in plan.blocks} == told["best"]["counts"]
    assert max(float(row["quality"]) for row in history) == told["quality"] == float(history[-1]["best so far"])
    assert ElementTree.fromstring(Path("searched/search.svg").read_text()).tag.endswith("svg")
    assert call(monkeypatch, *WORDS, "8") == 0
    again = list(csv.DictReader(Path("searched/history.csv").read_text().splitlines()))
    assert again[:6] == history and len(again) == 8


def test_another_search_is_refused(folder, monkeypatch, capsys):
    assert call(monkeypatch, *WORDS, "2") == 0
    assert call(monkeypatch, *WORDS, "2", "--seed", "1") == 1
    assert "another problem (seed: 0 there, 1 here)" in " ".join(capsys.readouterr().err.split())


def test_nothing_to_choose_by(folder, monkeypatch, capsys):
    Path("data.py").write_text(DATA)
    assert call(monkeypatch, *WORDS, "2") == 1
    assert "nothing to choose by" in capsys.readouterr().err
    Path("data.py").write_text("def judge(model):\n    return float(sum(p.numel() for p in model.parameters()))\n")
    assert call(monkeypatch, *WORDS, "2") == 0


def test_bad_settings(folder, monkeypatch, capsys):
    assert call(monkeypatch, "search", "net.py:make_model", "--data", "data.py", "--how", "genetic(people=4)") == 1
    assert "no setting 'people'" in capsys.readouterr().err
    assert call(monkeypatch, "search", "net.py:make_model", "--data", "data.py", "--how", "genetics") == 1
    assert "Did you mean 'genetic'" in capsys.readouterr().err
