"""`python -m benchmarks.models`: check, look at the peer, take times, write the page."""

from __future__ import annotations

import argparse
import subprocess
import sys
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

import secateur
from benchmarks.models import judge
from benchmarks.models.limits import ROOT, Limits
from benchmarks.models.runner import Job, run_all, take_times
from benchmarks.models.store import Key, lines, read
from benchmarks.models.table import page
from benchmarks.models.timing import MODELS
from benchmarks.models.zoos import ZOOS, names

#: Results are kept in the repository, so that a walk of hours can be stopped and gone on with anywhere.
RECORDS = Path(__file__).with_name("records")
#: Lists of models, which depend on the versions that are installed.
LISTS = ROOT / "out" / "models"
PAGE = ROOT / "docs" / "models.md"
STEPS = ("check", "peer", "timing", "table")


def main() -> None:
    wanted = options()
    console = Console()
    keys = [] if set(wanted.steps) <= {"timing", "table"} else chosen(wanted.zoo, wanted.only)
    common = {
        "limits": Limits(wanted.timeout, wanted.memory),
        "extra": {"revision": revision(), "versions": versions()},
    }
    check = Job(
        title="masked = shrunk",
        python=sys.executable,
        module="benchmarks.models.check",
        arguments=("--seeds", str(wanted.seeds)),
        file=RECORDS / "checks.jsonl",
        word=judge.word,
        **common,
    )
    peer = Job(
        title="the peer",
        python=str(wanted.peer_python),
        module="benchmarks.models.peer",
        arguments=(),
        file=RECORDS / "peer.jsonl",
        word=lambda record: str(record["status"]),
        **common,
    )
    for step, job in (("check", check), ("peer", peer)):
        if step in wanted.steps:
            run_all(job, todo(job.file, keys, again=wanted.again), at_once=wanted.jobs, console=console)
    if "timing" in wanted.steps:
        sides = {"secateur": sys.executable, "peer": str(wanted.peer_python)}
        (RECORDS / "timing.jsonl").unlink(missing_ok=True)  # times of other days do not mix
        take_times(RECORDS / "timing.jsonl", sides, MODELS, wanted.rounds, console)
    if "table" in wanted.steps:
        listed = {zoo: len(names(zoo, LISTS)) for zoo in ZOOS}
        text = page(read(check.file), read(peer.file), lines(RECORDS / "timing.jsonl"), listed=listed)
        PAGE.write_text(text)
        console.print(f"wrote {PAGE.relative_to(ROOT)}")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-models ARGS=…", description=__doc__)
    parser.add_argument("--zoo", nargs="+", default=["torchvision", "timm", "transformers"], help="beginnings of names")
    parser.add_argument("--only", nargs="+", default=["*"], metavar="PATTERN", help="models to check, as in a shell")
    parser.add_argument("--steps", nargs="+", default=STEPS, choices=STEPS)
    parser.add_argument("--seeds", type=int, default=3, help="plans with random widths per model")
    parser.add_argument("--timeout", type=float, default=120.0, help="CPU seconds per model")
    parser.add_argument("--memory", type=float, default=14.0, help="gigabytes per model")
    parser.add_argument("--rounds", type=int, default=5, help="how often times are taken")
    parser.add_argument("--peer-python", type=Path, default=ROOT / ".venv-peer" / "bin" / "python")
    parser.add_argument("--jobs", type=int, default=1, help="models at once")
    parser.add_argument("--again", action="store_true", help="check models that have a result, too")
    return parser.parse_args()


def chosen(zoos: list[str], patterns: list[str]) -> list[Key]:
    """The models that were asked for."""
    keys = [(zoo, name) for zoo in ZOOS if zoo.startswith(tuple(zoos)) for name in names(zoo, LISTS)]
    return [(zoo, name) for zoo, name in keys if any(fnmatchcase(name, pattern) for pattern in patterns)]


def todo(file: Path, keys: list[Key], *, again: bool) -> list[Key]:
    """The models that have no result yet."""
    done = set() if again else set(read(file))
    return [key for key in keys if key not in done]


def versions() -> str:
    """Versions of what the models come from."""
    return ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "timm", "transformers"))


def revision() -> str:
    """What was checked: the commit, or the version where there is none."""
    git = ("git", "describe", "--always"), ("git", "diff", "--quiet", "HEAD", "--", ":!benchmarks/models/records")
    commit, changed = (subprocess.run(c, cwd=ROOT, capture_output=True, text=True, check=False) for c in git)
    name = commit.stdout.strip() + "-dirty" * changed.returncode  # records are written by this very run
    return name if commit.returncode == 0 else secateur.__version__


if __name__ == "__main__":
    main()
