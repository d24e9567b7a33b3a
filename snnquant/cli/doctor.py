"""`snnquant doctor`: versions, processor, GPU, data, disk, missing extras."""

from __future__ import annotations

import json as json_format
from collections.abc import Iterator
from typing import Any

from snnquant.cli.options import Json
from snnquant.errors import InputError


def doctor(*, json: Json = False) -> None:
    """Check the installation, and say how to install the extras that are missing.

    Exits with 2 only where something is broken; a missing extra, GPU or scene is not.
    """
    from snnquant.pipeline.installation import examine

    found = examine()
    if json:
        print(json_format.dumps(found))
    else:
        for line in _lines(found):
            print(line)
    if found["broken"]:
        raise InputError("; ".join(found["broken"]))


def _lines(found: dict[str, Any]) -> Iterator[str]:
    yield _line("versions", ", ".join(_named(found["versions"])))
    threads, processor, gpu = found["threads"], found["processor"], found["gpu"]
    of_torch = f"{threads['torch'] or 'no'} of torch"
    yield _line("threads", f"{of_torch}, {threads['available']} of {threads['cores']} cores usable")
    yield _line("processor", f"{processor['name']}, {processor['system']}")
    yield _line("", " ".join(processor["features"]) or "no known vector instructions")
    devices = [f"{row['name']} ({row['memory_gb']:.0f} GB)" for row in gpu["devices"]]
    built = (
        f"torch is built for CUDA {gpu['cuda']}" if gpu["cuda"] else "torch is built without CUDA"
    )
    yield _line("GPU", ", ".join(devices) or f"none available; {built}")
    for number, row in enumerate(found["data"]):
        yield _line("" if number else "scenes", _scene(row))
    for number, row in enumerate(found["disk"]):
        state = "" if row["writable"] else ", not writable"
        place = f"{row['free_gb']:,.1f} GB free in {row['folder']} ({row['purpose']}{state})"
        yield _line("" if number else "disk", place)
    for number, row in enumerate(found["extras"]):
        state = ", ".join(_named(row["installed"]))
        if row["missing"]:
            state = f"{', '.join(row['missing'])} missing: {row['install']}"
        yield _line("" if number else "extras", f"{row['extra']}: {state}")
    if not found["extras"]:
        yield _line("extras", "not known: snnquant is not installed, only on the search path")
    for number, (name, value) in enumerate(found["environment"].items()):
        yield _line("" if number else "environment", f"{name}={value}")


def _line(heading: str, text: str) -> str:
    return f"{heading + ':' if heading else '':<13}{text}"


def _named(versions: dict[str, str | None]) -> list[str]:
    return [f"{name} {version or 'not installed'}" for name, version in versions.items()]


def _scene(row: dict[str, Any]) -> str:
    if row["cube"] and row["labels"]:
        return f"{row['scene']}: {row['cube']}"
    if row["downloads"]:
        return f"{row['scene']}: to be downloaded: snnquant scenes fetch {row['scene']}"
    missing = " and ".join(key for key in ("cube", "labels") if not row[key])
    return f"{row['scene']}: {missing} missing: snnquant scenes show {row['scene']}"
