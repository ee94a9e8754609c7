"""The pages that are made from classes are up to date, and the code in README runs."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/groups.md", "docs/quantizing.md", "docs/training.md", "docs/chains.md")
BLOCKS = [b for page in PAGES for b in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S)]


def build():
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_is_up_to_date():
    assert (ROOT / "docs" / "reference.md").read_text() == build().reference(), "run `make docs`"


def test_picture_is_up_to_date():
    demo = json.loads((ROOT / "docs" / "demo-report.json").read_text())
    assert (ROOT / "docs" / "lenet5.svg").read_text() == build().widths_svg(demo), "run `make docs`"


def test_drawings_are_up_to_date():
    module = build()
    text = (ROOT / "README.md").read_text()
    assert module.DRAWING[0] in text
    assert text == module.with_drawing(text), "run `make docs`"
    assert (ROOT / "docs" / "resnet20.svg").read_text() == module.groups("resnet20").draw("svg"), "run `make docs`"


def test_readme_has_code():
    assert BLOCKS


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_readme_code_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})


def test_readme_table_is_the_demos():
    module = build()
    text = (ROOT / "README.md").read_text()
    assert text == module.with_table(text, module.read_json(ROOT / "docs" / "demo-report.json")), "run `make docs`"
