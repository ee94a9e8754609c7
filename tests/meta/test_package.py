"""The package as a whole: no orphans, no undocumented names, no upward imports, no heavy imports, no dead citations."""

import ast
import doctest
import importlib
import importlib.util
import inspect
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_origin

import pytest

import secateur
from secateur.allocation import ALLOCATIONS
from secateur.coding import CODECS
from secateur.compact import COMPACTS
from secateur.core.paper import Paper
from secateur.criteria import CRITERIA
from secateur.distill import DISTILLATIONS
from secateur.evidence import COLLECTORS
from secateur.granularity import GRANULARITIES
from secateur.lowrank import FACTORIZERS
from secateur.methods import METHODS
from secateur.quantizers import QUANTIZERS
from secateur.regularizers import REGULARIZERS
from secateur.repair import REPAIRS
from secateur.schedules import SCHEDULES
from secateur.search import SEARCHES

SOURCE = Path(secateur.__file__).parent
ROOT = SOURCE.parent.parent
FOLDERS = {
    "allocation": ALLOCATIONS,
    "compact": COMPACTS,
    "coding.codecs": CODECS,
    "criteria": CRITERIA,
    "distill": DISTILLATIONS,
    "evidence": COLLECTORS,
    "granularity": GRANULARITIES,
    "lowrank": FACTORIZERS,
    "methods": METHODS,
    "quantizers": QUANTIZERS,
    "regularizers": REGULARIZERS,
    "repair": REPAIRS,
    "schedules": SCHEDULES,
    "search": SEARCHES,
}
NOT_PLUGINS = {"__init__", "base", "collect", "choosing", "factorizing", "rebuilding", "teaching", "tensors", "vbmf"}
NOT_PLUGINS |= {"particle_filter", "channel_genetic"}  # these search for units, not for numbers of them
FILES = [
    (folder, p.stem)
    for folder in FOLDERS
    for p in sorted((SOURCE / folder.replace(".", "/")).glob("*.py"))
    if p.stem not in NOT_PLUGINS
]
MODULES = sorted(m.name for m in pkgutil.walk_packages([str(SOURCE)], "secateur.") if not m.name.endswith("__main__"))
TEXTS = {p.relative_to(SOURCE): p.read_text() for p in sorted(SOURCE.rglob("*.py"))}


@pytest.mark.parametrize(("folder", "stem"), FILES, ids=[f"{f}/{s}" for f, s in FILES])
def test_no_orphan_files(folder, stem):
    """Every file of a plug-in folder is imported by the folder and registers something."""
    tree = ast.parse((SOURCE / folder.replace(".", "/") / "__init__.py").read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert f"secateur.{folder}.{stem}" in imported
    registered = {item.__module__ for item in FOLDERS[folder].values()}
    assert f"secateur.{folder}.{stem}" in registered


@pytest.mark.parametrize("folder", [f for f in FOLDERS if f != "methods"])
def test_names_are_file_names(folder):
    for name, item in FOLDERS[folder].items():
        stem = item.__module__.rpartition(".")[2]
        assert stem in (name, f"{name}_")


@pytest.mark.parametrize("folder", FOLDERS)
def test_registered_classes_are_exported(folder):
    package = importlib.import_module(f"secateur.{folder}")
    assert {item.__name__ for item in FOLDERS[folder].values()} <= set(package.__all__)


def test_every_public_name_is_documented():
    bare = []
    for name in MODULES:
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", ()):
            named = getattr(module, public)
            if get_origin(named) is None and not inspect.getdoc(named):  # an alias of a type has no docstring
                bare.append(f"{name}.{public}")
    for public in getattr(secateur, "__all__", ()):
        if not public.startswith("__") and not inspect.getdoc(getattr(secateur, public)):
            bare.append(public)
    assert not bare


def test_every_module_says_what_it_is():
    silent = [str(path) for path, text in TEXTS.items() if text.strip() and ast.get_docstring(ast.parse(text)) is None]
    assert not silent


def test_layers_hold():
    command = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


KEYS = sorted({key for text in TEXTS.values() for key in re.findall(r'Paper\("([^"]+)"\)', text)})
LISTED = tomllib.loads((SOURCE / "core" / "references.toml").read_text())


@pytest.mark.parametrize("key", KEYS)
def test_citations_resolve(key):
    assert str(LISTED[key]["year"]) in Paper(key).cite()


def test_no_reference_is_unused():
    assert not set(LISTED) - set(KEYS)


def test_arxiv_numbers_in_docstrings_are_listed():
    """A paper quoted in the docstring of a plug-in is one of the references, under the number given there."""
    listed = {entry.get("arxiv") for entry in LISTED.values()}
    plugins = [text for path, text in TEXTS.items() if {path.parts[0], ".".join(path.parts[:-1])} & set(FOLDERS)]
    quoted = {number for text in plugins for number in re.findall(r"arXiv:(\d{4}\.\d{5})", text)}
    assert quoted <= listed


HEAVY = (
    "onnx", "onnxruntime", "jinja2", "typer", "rich", "pydantic", "torchvision", "timm", "transformers", "scipy", "sklearn", "matplotlib", "optuna", "gymnasium", "stable_baselines3", "tensorly"
)  # fmt: skip


def test_importing_secateur_is_light():
    command = f"""
import sys, torch
before = set(sys.modules)
import secateur
print(*sorted({{m.partition(".")[0] for m in set(sys.modules) - before}} & {set(HEAVY)!r}))
"""
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


WITH_EXAMPLES = [
    name
    for name in MODULES
    if re.search(r"^ +>>> ", Path(importlib.util.find_spec(name).origin).read_text(), re.MULTILINE)
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_run(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted
    assert not found.failed


@pytest.mark.parametrize(
    "host", ["pypi.org", "pythonhosted.org", "anaconda.org", "npmjs", "crates.io", "huggingface.co"]
)
def test_no_package_host_is_named(host):
    named = [str(p.relative_to(SOURCE)) for p in sorted(SOURCE.rglob("*")) if p.suffix in {".py", ".toml", ".md", ".j2"}
             and host in p.read_text()]  # fmt: skip
    assert not named
