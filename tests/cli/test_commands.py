"""The command line as a user meets it: own model files, clear errors, no half-written files."""

import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from secateur.cli.app import app, run
from secateur.files import load_plan
from secateur.granularity import IntraKernel

MINE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.SiLU())
        self.left = nn.Conv2d(16, 12, 1)
        self.right = nn.Conv2d(16, 8, 3, padding=1)
        self.head = nn.Linear(20, 4)

    def forward(self, x):
        x = self.stem(x)
        return self.head(torch.cat([self.left(x), self.right(x).relu()], 1).mean((2, 3)))

def make_model():
    torch.manual_seed(0)
    return Net()

def example_inputs():
    return torch.zeros(1, 3, 8, 8)
"""
DATA = """
import torch

def train_batches():
    torch.manual_seed(1)
    return [(torch.randn(8, 3, 8, 8), torch.randint(0, 4, (8,))) for _ in range(4)]

def test_batches():
    return train_batches()[:2]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(MINE)
    Path("data.py").write_text(DATA)
    return tmp_path


def call(monkeypatch, *words):
    """Exit code of the command, as the shell would see it."""
    monkeypatch.setattr(sys, "argv", ["secateur", *words])
    with pytest.raises(SystemExit) as stop:
        run()
    return stop.value.code or 0


def test_compress_own_network_with_data(folder, monkeypatch, capsys):
    words = (
        "compress",
        "net.py:make_model",
        "--recipe",
        "taylor2019",
        "--budget",
        "half the macs",
        "--data",
        "data.py",
    )
    assert call(monkeypatch, *words, "--out", "small", "--epochs", "0.5") == 0
    report = json.loads(Path("small/report.json").read_text())
    assert report["after"]["macs"] <= 0.5 * report["before"]["macs"]
    assert report["equivalence"] < 1e-5
    assert set(report["after"]["quality"]) == {"top1", "top5"} or set(report["after"]["quality"]) == {"top1"}
    assert load_plan("small/model.safetensors") == load_plan("small/plan.json")
    assert Path("small/report.html").read_text().startswith("<!")
    assert call(monkeypatch, "measure", "net.py:make_model", "--load", "small/model.safetensors") == 0
    assert call(monkeypatch, "report", "small/report.json", "--html", "again.html") == 0
    assert "MACs" in capsys.readouterr().out


INTERRUPTED = (
    DATA
    + """
import itertools, pathlib
count = itertools.count()

def loss(output, target):
    if pathlib.Path("trap").exists() and next(count) == {after}:
        pathlib.Path("trap").unlink()
        raise KeyboardInterrupt
    return torch.nn.functional.cross_entropy(output, target)
"""
)


@pytest.mark.parametrize("after", [1, 6, 15])
def test_interrupted_and_resumed(folder, monkeypatch, capsys, after):
    Path("data.py").write_text(INTERRUPTED.replace("{after}", str(after)))
    words = ("compress", "net.py:make_model", "--recipe", "taylor2019", "--data", "data.py", "--epochs", "1")
    assert call(monkeypatch, *words, "--out", "whole") == 0
    Path("trap").touch()
    assert call(monkeypatch, *words, "--out", "cut") == 130
    assert ("--resume" in capsys.readouterr().out) == Path("cut/checkpoint.pt").exists()
    assert not Path("cut/model.safetensors").exists()
    assert call(monkeypatch, *words, "--out", "cut", "--resume") == 0
    assert Path("cut/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()
    assert not Path("cut/checkpoint.pt").exists()


STEPS = """
[[step]]
name = "prune"
recipe = "li2017"
budget = "0.6 macs"

[[step]]
name = "quantize"
quantizer = "kmeans(bits=3)"

[[step]]
name = "pack"
"""


def test_chain_in_words_and_from_a_file(folder, monkeypatch, capsys):
    words = ("prune(li2017, 0.6 macs)", "quantize(kmeans(bits=3))", "pack")
    assert call(monkeypatch, "chain", "net.py:make_model", *words, "--data", "data.py", "--out", "words") == 0
    told = capsys.readouterr().out
    assert "quantize by kmeans(bits=3)" in told
    assert "what each step contributed" in told
    Path("steps.toml").write_text(STEPS)
    assert (
        call(monkeypatch, "chain", "net.py:make_model", "--steps", "steps.toml", "--data", "data.py", "--out", "f") == 0
    )
    assert Path("words/model.sct").read_bytes() == Path("f/model.sct").read_bytes()
    report = json.loads(Path("words/report.json").read_text())
    assert next(one["step"] for one in report["steps"]) == "dense"
    assert report["steps"][-1]["measured"]["bytes"] == Path("words/model.sct").stat().st_size


def test_compress_without_data_prunes_once(folder, monkeypatch, capsys):
    assert call(monkeypatch, "compress", "net.py:make_model", "--budget", "0.5 params", "--multiple", "4") == 0
    plan = load_plan("compressed/plan.json")
    assert all(plan.width(b.name) % 4 == 0 for b in plan.blocks)
    assert "nothing was trained" in capsys.readouterr().out


def test_own_training_loop(folder, monkeypatch):
    Path("loop.py").write_text(
        "import pathlib\n"
        "def train(model):\n    pathlib.Path('trained').write_text(type(model).__name__)\n"
        "def evaluate(model):\n    return 0.5\n"
    )
    assert call(monkeypatch, "compress", "net.py:make_model", "--data", "loop.py") == 0
    assert Path("trained").read_text() == "Net"
    assert json.loads(Path("compressed/report.json").read_text())["after"]["quality"] == {"quality": 0.5}


def test_freeze_and_only(folder, monkeypatch):
    assert call(monkeypatch, "compress", "net.py:make_model", "--budget", "0.8 macs", "--freeze", "stem.*") == 0
    assert load_plan("compressed/plan.json").width("stem.0") == 16
    assert call(monkeypatch, "compress", "net.py:make_model", "--budget", "0.95 macs", "--only", "left") == 0
    plan = load_plan("compressed/plan.json")
    assert [b.name for b in plan.blocks if plan.width(b.name) < b.units] == ["left"]


def test_depth(folder, monkeypatch, capsys):
    words = ("compress", "zoo:resnet20", "--granularity", "layer", "--budget", "0.8 macs")
    assert call(monkeypatch, *words, "--freeze", "stages.[01]") == 0
    plan = load_plan("compressed/plan.json")
    assert plan.removed and not {"stages.0", "stages.1"} & set(plan.removed)
    widths = json.loads(Path("compressed/report.json").read_text())["widths"]
    assert [w["group"] for w in widths if not w["after"]] == list(plan.removed)
    assert call(monkeypatch, "trace", "zoo:resnet20", "--depth") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "7 residual blocks can go as a whole: stages.0, stages.1, stages.2, stages.4" in text
    assert call(monkeypatch, "list", "granularities") == 0
    assert "layer" in capsys.readouterr().out


def test_parts_of_weights(folder, monkeypatch):
    """Units with settings: LeNet-5 in its own shapes, one of every five places of a kernel, read back from its files."""
    words = ("compress", "zoo:lenet5", "--granularity", "intra_kernel(stride=5)", "--budget", "1 weights")
    assert call(monkeypatch, *words) == 0
    plan = load_plan("compressed/plan.json")
    assert plan.granularity == IntraKernel(stride=5)
    assert plan.provenance.reached == pytest.approx((25_500 / 5 + 405_000) / 430_500)
    widths = {w["group"]: w for w in json.loads(Path("compressed/report.json").read_text())["widths"]}
    assert (widths["conv2.weight"]["before"], widths["conv2.weight"]["after"]) == (100, 20)
    assert widths["fc1.weight"]["after"] == 400_000 and "no convolution" in widths["fc1.weight"]["pinned"]


def test_trace_says_what_is_pinned(folder, monkeypatch, capsys):
    assert call(monkeypatch, "trace", "net.py:make_model") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "left" in text and "is an output of the model" in text


def test_trace_draws(folder, monkeypatch, capsys):
    assert call(monkeypatch, "trace", "net.py:make_model", "--draw", "net.svg") == 0
    assert "The drawing is in net.svg" in " ".join(capsys.readouterr().out.split())
    assert call(monkeypatch, "trace", "net.py:make_model", "--draw", "net.TXT", "--every") == 0
    picture = ElementTree.fromstring(Path("net.svg").read_text(encoding="utf-8"))
    assert {g.get("data-group") for g in picture.iter() if g.get("data-group")} >= {"stem.0", "left", "right", "head"}
    text = Path("net.TXT").read_text(encoding="utf-8")
    assert "■" in text and "head.weight" in text and "pinned: is an output of the model" in text


def test_compress_tells_asked_and_reached_of_every_group(folder, monkeypatch, capsys):
    words = ("--budget", "0.6 units", "--multiple", "4", "--freeze", "left", "--freeze", "head")
    monkeypatch.setenv("COLUMNS", "140")
    assert call(monkeypatch, "compress", "net.py:make_model", *words) == 0
    text = capsys.readouterr().out
    # 36 units, of which 12 are frozen: 21.6 may stay, 9.6 of the other 24, that is 40 % of each
    assert re.search(r"stem\.0 +│ +16 │ +4 │ +40\.0 % │ +25\.0 % │", text)
    assert re.search(r"right +│ +8 │ +4 │ +40\.0 % │ +50\.0 % │", text)
    assert re.search(r"left +│ +12 │ +12 │ +— │ +100\.0 % │ frozen", text)
    assert re.search(r"head +│ +4 │ +4 │ +— │ +100\.0 % │ is an output", text)


PINNED = MINE.replace("return self.head(torch.cat([self.left(x), self.right(x).relu()], 1).mean((2, 3)))", "return x")


def test_a_network_that_is_pinned_altogether_is_an_error_with_the_reasons(folder, monkeypatch, capsys):
    Path("pinned.py").write_text(PINNED)
    assert call(monkeypatch, "compress", "pinned.py:make_model") == 1
    text = " ".join(capsys.readouterr().err.split())
    for reason in (
        "nothing in this model may be cut",
        "stem.0 (is an output of the model)",
        "is not used in the traced",
    ):
        assert reason in text
    assert not list(folder.glob("compressed/*"))
    assert call(monkeypatch, "trace", "pinned.py:make_model", "--draw", "pinned.txt") == 0
    assert Path("pinned.txt").read_text(encoding="utf-8").startswith("0 groups can be cut")


@pytest.mark.parametrize("kind", [(), ("recipes",), ("criteria", "--card", "taylor")])
def test_list(monkeypatch, capsys, kind):
    assert call(monkeypatch, "list", *kind) == 0
    assert "taylor" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("one", "many", "word"),
    [("criterion", "criteria", "taylor"), ("granularity", "granularities", "n_m"), ("repair", "repairs", "batch_norm")],
)
def test_list_of_one_kind(monkeypatch, capsys, one, many, word):
    told = []
    for kind in (one, many):
        assert call(monkeypatch, "list", kind) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1] and word in told[0] and told[0].startswith(many)
    assert call(monkeypatch, "list", "granule") == 2
    assert "'granule' is none of recipes, criteria" in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_export(folder, monkeypatch, capsys):
    assert call(monkeypatch, "export", "net.py:make_model", "net.onnx") == 0
    assert Path("net.onnx").stat().st_size > 1000


BAD = [
    (("chain", "net.py:make_model"), "at least one step"),
    (("chain", "net.py:make_model", "pack", "prune"), "A sensible order: prune by li2017, pack"),
    (("chain", "net.py:make_model", "prun"), "Did you mean 'prune'"),
    (("chain", "net.py:make_model", "quantize(kmeans(bits=4)"), "do not match"),
    (("chain", "net.py:make_model", "quantize(speed=3)"), "has no setting 'speed'"),
    (("chain", "net.py:make_model", "--steps", "net.py"), "is not TOML"),
    (("compress", "net.py:make_model", "--budget", "1.5 macs"), "keep must be in (0, 1]"),
    (("compress", "net.py:make_model", "--budget", "much"), "cannot read the budget"),
    (("compress", "net.py:make_model", "--budget", "0.5 flops"), "of must be one of"),
    (("compress", "net.py:make_model", "--recipe", "li201"), "Did you mean 'li2017'"),
    (("compress", "net.py:make_model", "--granularity", "layers"), "Did you mean 'layer'"),
    (("compress", "net.py:make_model", "--granularity", "layer"), "no module of this model can go as a whole"),
    (("compress", "net.py:make_model", "--granularity", "n_m(5, 4)"), "n must be at least 1 and less than m"),
    (("compress", "net.py:make_model", "--granularity", "n_m(1, 4, 2)"), "has 3 settings, but n_m has n, m"),
    (("compress", "net.py:make_model", "--granularity", "n_m(m=two)"), "m must be a int, got 'two'"),
    (("compress", "net.py:make_model", "--granularity", "n_m(k=2)"), "has no setting 'k'"),
    (("compress", "net.py:make_model", "--granularity", "2:4"), "cannot read '2:4'"),
    (("compress", "zoo:resnet20", "--recipe", "fpgm", "--granularity", "layer"), "scores whole channels"),
    (("compress", "net.py:make_model", "--recipe", "taylor2019"), "needs data"),
    (("compress", "net.py:make_model", "--budget", "0.0001 macs"), "cannot be met"),
    (("compress", "net.py:make_model", "--freeze", "nothing.*"), "matches no block"),
    (("compress", "net.py:make_model", "--freeze", "stem.1"), "Its units move together with 'stem.0'"),
    (("compress", "net.py:make_model", "--only", "head"), "may not be cut"),
    (
        ("compress", "net.py:make_model", "--budget", "0.01 macs", "--freeze", "left"),
        "left (frozen by the constraints)",
    ),
    (("trace", "net.py:make_model", "--draw", "net.png"), "cannot draw into 'net.png'. Write --draw FILE.svg"),
    (("trace", "net.py:make_model", "--draw", "no/net.svg"), "there is no folder"),
    (("trace", "net.py:nothing"), "has no function 'nothing'. It has: Net, make_model, example_inputs"),
    (("trace", "nowhere.py:make_model"), "there is no Python file"),
    (("trace", "make_model"), "cannot read the network"),
    (("trace", "net.py:make_model", "--inputs", "1x5x8x8"), "fails on the example inputs"),
    (("trace", "net.py:make_model", "--inputs", "axb"), "cannot read the shape"),
    (("trace", "zoo:lenet9"), "no zoo model"),
    (("measure", "net.py:make_model", "--load", "net.py"), "net.py"),
    (("report", "data.py"), "data.py"),
]


@pytest.mark.parametrize(("words", "message"), BAD, ids=[" ".join(w[2:]) or w[1] for w, _ in BAD])
def test_bad_input_is_one_clear_error(folder, monkeypatch, capsys, words, message):
    before = sorted(p.name for p in folder.iterdir())
    assert call(monkeypatch, *words) == 1
    text = " ".join(capsys.readouterr().err.split())
    assert message in text
    assert "Traceback" not in text
    assert [
        n for n in sorted(p.name for p in folder.iterdir()) if n not in (*before, "compressed", "__pycache__")
    ] == []
    assert not list(folder.glob("compressed/*"))


def test_nan_weights(folder, monkeypatch, capsys):
    Path("nan.py").write_text(
        MINE.replace("return Net()", "net = Net(); net.head.weight.data[0] = float('nan'); return net")
    )
    assert call(monkeypatch, "compress", "nan.py:make_model") == 1
    assert "head.weight" in capsys.readouterr().err


def test_full_disk_leaves_nothing_half_written(folder, monkeypatch, capsys):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert call(monkeypatch, "compress", "net.py:make_model") == 1
    assert "No space left" in capsys.readouterr().err
    assert not list(folder.glob("compressed/*"))


def test_help_teaches():
    text = subprocess.run(
        [sys.executable, "-m", "secateur", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for verb in ("demo", "trace", "compress", "measure", "export", "pack", "unpack", "inspect", "report", "list"):
        assert verb in text


def test_options_are_those_that_are_documented():
    """A new or renamed option is a decision: write it down here."""
    from typer.main import get_command

    found = {f"{name} {p.name}" for name, c in get_command(app).commands.items() for p in c.params if p.name != "help"}
    assert found == set(
        """
        pack model; pack path; pack load; pack inputs; unpack path; unpack out; unpack entries; inspect path; inspect entries; chain model; chain steps; chain file; chain data; chain out; chain seed; chain inputs; demo out; demo seed; trace model; trace inputs; trace every; trace heads; trace depth; trace draw; compress model; compress recipe; compress granularity;
        compress budget;
        compress data; compress out; compress multiple; compress freeze; compress only; compress epochs; compress lr;
        compress optimizer; compress seed; compress onnx; compress resume; compress inputs; measure model; measure load; measure data; measure runtime;
        measure threads; measure inputs; export model; export path; export load; export inputs; report path; report html;
        list kind; list card; search model; search how; search budget; search recipe; search evaluations; search data;
        search out; search storage; search multiple; search freeze; search only; search seed; search inputs
        """.replace("\n", " ")
        .strip()
        .replace("        ", "")
        .split("; ")
    )


def test_same_seed_same_network(folder, monkeypatch):
    words = ("compress", "net.py:make_model", "--data", "data.py", "--seed", "3", "--out")
    assert call(monkeypatch, *words, "a") == 0
    assert call(monkeypatch, *words, "b") == 0
    assert Path("a/model.safetensors").read_bytes() == Path("b/model.safetensors").read_bytes()
    assert torch.initial_seed() is not None


def test_own_recipe_file(folder, monkeypatch, capsys):
    assert call(monkeypatch, "list", "recipes", "--card", "fpgm") == 0
    text = capsys.readouterr().out
    Path("mine.toml").write_text(text[text.index("schema = 1") :].replace("0.5 macs", "0.7 params"))
    assert call(monkeypatch, "compress", "net.py:make_model", "--recipe", "mine.toml") == 0
    assert load_plan("compressed/plan.json").provenance.budget == "0.7 params"
    Path("bad.toml").write_text("schema = 1")
    assert call(monkeypatch, "compress", "net.py:make_model", "--recipe", "bad.toml") == 1
    assert "missing table" in capsys.readouterr().err
    assert call(monkeypatch, "compress", "net.py:make_model", "--recipe", "nowhere.toml") == 1
