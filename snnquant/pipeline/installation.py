"""State of the installation: versions, processor, GPU, data, disk, extras."""

from __future__ import annotations

import importlib
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from snnquant.errors import InputError
from snnquant.io import one_line

CORE = ("torch", "numpy", "scipy", "scikit-learn")
"""Distributions whose versions decide results."""
DEVELOPMENT = ("test", "dev", "docs")
"""Extras for work on the package itself."""
VARIABLES = (
    *("SNNQUANT_DATA", "SNNQUANT_PLUGINS", "SNNQUANT_COSTS", "SNNQUANT_TRITON", "SNNQUANT_OPENMP"),
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "CUDA_VISIBLE_DEVICES"),
)
FEATURES = (
    *("sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni"),
    *("avx512_bf16", "avx_vnni", "amx_int8", "amx_bf16", "asimd", "asimddp", "sve", "i8mm"),
)
"""Flags of /proc/cpuinfo on which the speed of arithmetic depends."""
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA = re.compile(r"extra == ['\"]([^'\"]+)['\"]")
_PYTHON = re.compile(r"python_version >= ['\"](\d+)\.(\d+)['\"]")


def examine() -> dict[str, Any]:
    """Return the state of the installation, ready for JSON.

    Keys: "versions", "threads", "processor", "gpu", "data", "disk", "extras", "environment", and
    "broken", a list of faults that keep commands from working.

    >>> sorted(examine())[:3]
    ['broken', 'data', 'disk']
    """
    broken: list[str] = []
    versions = _versions(broken)
    threads, gpu = _torch(broken)
    return {
        "versions": versions,
        "threads": threads,
        "processor": processor(),
        "gpu": gpu,
        "data": _data(broken),
        "disk": _disk(),
        "extras": extras(),
        "environment": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "broken": broken,
    }


def _versions(broken: list[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in ("snnquant", *CORE):
        found[name] = version(name)
        if found[name] is None and name != "snnquant":
            broken.append(f"{name}: not installed, expected it: pip install {name}")
    return found


def version(distribution: str) -> str | None:
    """Return the installed version of a distribution; None where it is missing."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _torch(broken: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return threads and GPUs as torch sees them."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads: dict[str, Any] = {"cores": os.cpu_count(), "available": available, "torch": None}
    gpu: dict[str, Any] = {"available": False, "cuda": None, "devices": []}
    try:
        torch = importlib.import_module("torch")
    except Exception as error:  # a broken library raises anything
        broken.append(f"torch: cannot be imported ({one_line(error)}), expected a working one")
        return threads, gpu
    threads |= {
        "torch": torch.get_num_threads(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
    }
    gpu |= {"available": torch.cuda.is_available(), "cuda": torch.version.cuda}
    for number in range(torch.cuda.device_count() if gpu["available"] else 0):
        device = torch.cuda.get_device_properties(number)
        gpu["devices"].append({"name": device.name, "memory_gb": device.total_memory / 1e9})
    return threads, gpu


def processor() -> dict[str, Any]:
    """Return name, architecture, system and features of the processor."""
    name, flags = platform.processor() or platform.machine(), set[str]()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "model name":
            name = value
        elif key in ("flags", "Features"):
            flags |= set(value.split())
            break
    return {
        "name": name,
        "architecture": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "features": [feature for feature in FEATURES if feature in flags],
    }


def _data(broken: list[str]) -> list[dict[str, Any]]:
    """Return every known scene with the places of its files."""
    from snnquant.scenes.known import known_scenes, load_card
    from snnquant.scenes.locate import find_file

    found = []
    for name in known_scenes():
        card = load_card(name)
        try:
            cube, labels = find_file(card, card.cube), find_file(card, card.labels)
        except InputError as error:  # of the folder, the same for every scene
            broken.append(str(error))
            return []
        files = {"cube": cube, "labels": labels}
        found.append(
            {
                "scene": name,
                **{key: None if path is None else str(path) for key, path in files.items()},
                "downloads": all(
                    path is not None or entry.url is not None
                    for path, entry in ((cube, card.cube), (labels, card.labels))
                ),
            }
        )
    return found


def _disk() -> list[dict[str, Any]]:
    import pooch

    places = {"here": Path.cwd(), "downloads": Path(pooch.os_cache("snnquant"))}
    found = []
    for purpose, place in places.items():
        existing = next(folder for folder in (place, *place.parents) if folder.exists())
        usage = shutil.disk_usage(existing)
        found.append(
            {
                "purpose": purpose,
                "folder": str(place),
                "free_gb": usage.free / 1e9,
                "writable": os.access(existing, os.W_OK),
            }
        )
    return found


def extras() -> list[dict[str, Any]]:
    """Return every extra for users with its missing distributions and the command for them.

    An extra whose distributions all ask for a newer Python is not offered.
    """
    try:
        requirements = metadata.requires("snnquant") or []
    except metadata.PackageNotFoundError:
        return []
    by_extra: dict[str, list[str]] = {}
    for extra, distribution in _of_extras(requirements):
        by_extra.setdefault(extra, []).append(distribution)
    found = []
    for extra, distributions in sorted(by_extra.items()):
        installed = {name: version(name) for name in distributions}
        missing = [name for name, version in installed.items() if version is None]
        found.append(
            {
                "extra": extra,
                "installed": {name: version for name, version in installed.items() if version},
                "missing": missing,
                "install": f"{_pip()} install 'snnquant[{extra}]'" if missing else None,
            }
        )
    return found


def _of_extras(requirements: list[str]) -> Iterator[tuple[str, str]]:
    """Yield extra and distribution of the requirements that hold for this Python."""
    for requirement in requirements:
        condition = requirement.partition(";")[2]
        extra, python = _EXTRA.search(condition), _PYTHON.search(condition)
        name = _REQUIREMENT.match(requirement)
        if extra is None or name is None or extra[1] in DEVELOPMENT:
            continue
        if python is None or sys.version_info >= (int(python[1]), int(python[2])):
            yield extra[1], name[0]


def _pip() -> str:
    """Return how to call the pip of the Python that runs."""
    own = Path(sys.executable)
    found = shutil.which("pip")
    if found is not None and Path(found).parent == own.parent:
        return "pip"
    return f"{own} -m pip"
