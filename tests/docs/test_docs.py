"""The pages that are made from classes are up to date, and the code in README runs."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)


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


def test_readme_has_code():
    assert BLOCKS


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_readme_code_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})


def test_readme_figures_are_the_demos():
    """Every figure in the README's result table stands in the report that the demo wrote."""
    demo = json.loads((ROOT / "docs" / "demo-report.json").read_text())
    text = (ROOT / "README.md").read_text()
    for side in ("before", "after"):
        assert f"{demo[side]['params']:,}" in text
        assert f"{demo[side]['macs']:,}" in text
        assert f"{demo[side]['bytes']:,}" in text
        assert f"{100 * demo[side]['quality']['top1']:.2f} %" in text
    for control in demo["controls"].values():
        assert f"{100 * control['quality']['top1']:.2f} %" in text
