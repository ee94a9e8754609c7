"""What figures depend on besides the network: versions and the machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def environment() -> dict[str, str]:
    """Versions of python, torch, onnxruntime and openvino (if installed) and secateur; system, processor and cores."""
    packages = {name: _version(name) for name in ("torch", "onnxruntime", "openvino", "secateur")}
    return {
        "python": platform.python_version(),
        **{name: found for name, found in packages.items() if found},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": str(_cores()),
    }


def _version(package: str) -> str:
    """Read from the package's metadata, so that nothing heavy is imported for it."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    """The name on the box. Linux keeps it in a file; elsewhere Python's answer has to do."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.lower().startswith("model name")]
    return next(iter(names), "") or platform.processor() or platform.machine() or "unknown"


def _cores() -> int:
    """Cores that this process may use, which in a container are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
