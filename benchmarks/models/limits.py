"""Limits that a process sets itself, and the lines in which it reports to the one that started it."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGXCPU
from typing import Any

ROOT = Path(__file__).parents[2]
_MARK = "@part "

#: One thread, and nothing fetched: the models are made from configurations.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "MKL_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONHASHSEED": "0",
}
#: Large tensors come and go all the time, and giving their pages back each time takes half of a check. Not for timing.
ROOMY = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**33)}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process may use.

    Attributes:
        seconds: of CPU time; five times as much may pass on the wall clock of a busy machine.
        gigabytes: of address space.
    """

    seconds: float = 120.0
    gigabytes: float = 14.0


def say(part: Mapping[str, Any]) -> None:
    """Report a part of the record to the process that started this one."""
    print(_MARK + json.dumps(part), flush=True)


def peak_gigabytes() -> float:
    """The most memory that this process held."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def run(
    command: Sequence[str],
    limits: Limits,
    listen: Callable[[Mapping[str, Any]], None],
    *,
    environment: Mapping[str, str],
) -> dict[str, Any]:
    """Run a process under limits and join the parts that it reports.

    Args:
        command: its arguments.
        limits: what it may use.
        listen: called with every part as it comes.
        environment: variables beside `ENVIRONMENT`.

    Returns:
        The record: all parts joined; `status` is `timeout` or `killed` where the process did not come to its end.

    Raises:
        KeyboardInterrupt: the process was interrupted, as a key does to all processes of a terminal.
    """
    record: dict[str, Any] = {}
    errors: list[str] = []
    start = time.perf_counter()
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT, **environment},
    ) as process:
        _restrain(process.pid, limits)
        late = threading.Timer(5 * limits.seconds, process.kill)
        drain = threading.Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True)
        late.start()
        drain.start()
        try:
            for line in process.stdout or ():
                if line.startswith(_MARK):
                    part = json.loads(line.removeprefix(_MARK))
                    join_(record, part)
                    listen(part)
            process.wait()
        finally:
            late.cancel()
            process.kill()
            drain.join(timeout=5)
    if process.returncode == -SIGINT:
        raise KeyboardInterrupt
    return record | {"wall_s": time.perf_counter() - start} | ending(record, process.returncode, errors)


def join_(record: dict[str, Any], part: Mapping[str, Any]) -> None:
    """Add a part to a record in place; where both hold a mapping of one name, the mappings are joined."""
    for name, value in part.items():
        known = record.get(name)
        record[name] = known | value if isinstance(known, dict) and isinstance(value, dict) else value


def ending(record: Mapping[str, Any], code: int, errors: Sequence[str]) -> dict[str, Any]:
    """How a process that reported no `status` of its own came to its end."""
    if "status" in record:
        return {}
    status = "timeout" if code in (-SIGXCPU, -SIGKILL) else "killed"
    last = next((line.strip() for line in reversed(errors) if line.strip()), f"exit code {code}")
    return {"status": status, "failure": {"stage": record.get("stage", "start"), "error": last[:400]}}


def _restrain(process: int, limits: Limits) -> None:
    """Set the limits of a process that has just started; where the system cannot, only the wall clock limits it."""
    if not hasattr(resource, "prlimit"):
        return
    seconds, space = int(limits.seconds), int(limits.gigabytes * 2**30)
    with suppress(ProcessLookupError):
        resource.prlimit(process, resource.RLIMIT_CPU, (seconds, seconds + 5))
        resource.prlimit(process, resource.RLIMIT_AS, (space, space))
