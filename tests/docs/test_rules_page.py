"""The page on operator rules, followed to the letter: what it says to write is written, and what it says is printed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "rules.md").read_text()
FILES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.S))
BEFORE, BROKEN, AFTER = (block.splitlines() for block in re.findall(r"```text\n(.*?)```", PAGE, re.S))
(ENTRY,) = re.findall(r"```toml\n\[project\.entry-points\.\"(.*?)\"\]\n(.*?) = \"(.*?)\"", PAGE)


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def installed(folder, module, package="mylib"):
    """What an installer would leave behind for a package with this entry point."""
    about = folder / f"{package}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{ENTRY[0]}]\n{ENTRY[1]} = {module}\n")


def run(folder, *words):
    paths = [str(folder), *(p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p), str(ROOT / "src")]
    there = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "300"}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=folder, env=there, capture_output=True, text=True, check=False)


def trace(folder):
    done = run(folder, "-m", "secateur", "trace", "net.py:make_model")
    assert done.returncode == 0, done.stderr
    return done


def test_all_files_are_there():
    assert set(FILES) == {"mylib.py", "net.py", "mylib_rules.py", "test_mylib_rules.py"}


def test_without_a_rule_it_is_pinned_and_named(folder):
    shown = trace(folder).stdout
    for line in BEFORE:
        assert line in shown
    pinned = [line.split()[1] for line in shown.splitlines() if "there is no rule for it" in line]
    assert pinned == ["0", "1.least"]


def test_the_rule_is_found_and_lets_it_be_cut(folder):
    installed(folder, ENTRY[2])
    done = trace(folder)
    assert "no rule" not in done.stdout and "Warning" not in done.stderr
    for line in AFTER:
        assert line in done.stdout


def test_a_package_that_fails_is_named_and_left_out(folder):
    (folder / "broken.py").write_text("import not_installed_anywhere\n")
    installed(folder, "broken", "broken-package")
    done = trace(folder)
    assert "broken-package offers a rule under the entry point 'mylib = broken'" in done.stderr
    assert "ModuleNotFoundError: No module named 'not_installed_anywhere'" in done.stderr
    assert BEFORE[0] in done.stdout


def test_a_second_rule_for_an_operator_is_refused(folder):
    (folder / "again.py").write_text('from secateur.graph.rules import rule\n\n@rule("aten::mm")\ndef mm(site): ...\n')
    installed(folder, "again", "again")
    done = trace(folder)
    assert "again offers a rule" in done.stderr and "operator 'aten::mm' has a rule already" in done.stderr


def test_its_test_passes(folder):
    done = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mylib_rules.py")
    assert done.returncode == 0, done.stdout
    assert "5 passed" in done.stdout


JOIN = "channels = site.join(x.labels[1], least.labels[0])"


@pytest.mark.parametrize(
    ("right", "wrong", "finding"),
    [
        (JOIN, "channels = x.labels[1]", BROKEN[0]),
        (JOIN, "channels = site.join(x.labels[1], least.labels[0].flip(0))", "VerificationError"),
        ("(x.labels[0], channels,", "(x.labels[0], None,", "AssertionError: pinned: {'before'"),
        ('@rule("mylib::threshold")', '@rule("mylib::other")', "AssertionError: no rule for mylib.threshold"),
    ],
    ids=["no join", "joined the wrong way round", "nothing comes out", "another operator"],
)
def test_its_test_fails_for_a_wrong_rule(folder, right, wrong, finding):
    assert right in FILES["mylib_rules.py"]
    (folder / "mylib_rules.py").write_text(FILES["mylib_rules.py"].replace(right, wrong))
    done = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mylib_rules.py")
    assert done.returncode == 1, done.stdout
    assert finding in done.stdout
