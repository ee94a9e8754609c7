"""One process per model, several at a time, and a screen that says what is going on."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks.models import limits
from benchmarks.models.store import Key, Record, append


@dataclass(frozen=True, slots=True)
class Job:
    """What is run for every model.

    Attributes:
        title: for the screen.
        python: the interpreter of the environment.
        module: what it runs; zoo and name are its first two arguments.
        arguments: the rest.
        limits: what each process may use.
        file: where records go.
        extra: entries of every record, such as the revision that was checked.
        word: what a record says, in one word, for the counts on the screen.
    """

    title: str
    python: str
    module: str
    arguments: Sequence[str]
    limits: limits.Limits
    file: Path
    extra: Mapping[str, Any]
    word: Callable[[Record], str]


@dataclass(slots=True)
class Screen:
    """A bar with counts, and one line for every process that runs."""

    bars: Progress
    whole: TaskID
    counts: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def done(self, what: str, word: str) -> None:
        """One more model came to `word`. A log gets a line for it, where rewriting lines would help nobody."""
        if self.bars.disable:
            print(f"{what}: {word}", flush=True)
        with self.lock:
            self.counts[word] += 1
            text = " · ".join(f"{count} {name}" for name, count in self.counts.most_common())
        self.bars.update(self.whole, advance=1, counts=text)


def run_all(job: Job, keys: Sequence[Key], *, at_once: int, console: Console) -> None:
    """Run a job for every model and append its records."""
    with _screen(job.title, len(keys), console) as screen:
        pool = ThreadPoolExecutor(at_once)
        try:
            for _ in pool.map(lambda key: _one(job, key, screen), keys):
                pass
        finally:
            pool.shutdown(cancel_futures=True)  # after an interrupt no further model starts


def take_times(file: Path, pythons: Mapping[str, str], models: Sequence[str], rounds: int, console: Console) -> None:
    """Time every model on every side, one process at a time, sides and models in turn so that noise hits all alike.

    Args:
        file: where records go.
        pythons: the interpreter of every side.
        models: names of the models.
        rounds: how often.
        console: for the progress bar.
    """
    turns = [(number, model, side) for number in range(rounds) for model in models for side in pythons]
    with _screen("CPU seconds", len(turns), console) as screen:
        for number, model, side in turns:
            screen.bars.update(screen.whole, counts=f"{model}, {side}")
            command = [pythons[side], "-m", "benchmarks.models.timing", side, model]
            found = limits.run(command, limits.Limits(seconds=600), lambda _: None, environment={})
            append(file, {"zoo": side, "name": model, "round": number, **found})
            screen.done(f"{side} {model}", str(found["status"]))


def _one(job: Job, key: Key, screen: Screen) -> None:
    zoo, name = key
    line = screen.bars.add_task(f"  {zoo} {name}", total=None, counts="starts")

    def listen(part: Mapping[str, Any]) -> None:
        if "stage" in part:
            screen.bars.update(line, counts=str(part["stage"]))

    command = [job.python, "-m", job.module, zoo, name, *job.arguments]
    try:
        found = limits.run(command, job.limits, listen, environment=limits.ROOMY)
    finally:
        screen.bars.remove_task(line)
    record = {"zoo": zoo, "name": name, "limit_s": job.limits.seconds, **job.extra, **found}
    with screen.lock:
        append(job.file, record)
    screen.done(f"{zoo} {name}", job.word(record))


@contextmanager
def _screen(title: str, total: int, console: Console) -> Iterator[Screen]:
    columns = (
        TextColumn("{task.description:<46}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[counts]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        screen = Screen(bars, bars.add_task(title, total=total, counts=""))
        yield screen
