"""Resumable downloads, which pooch leaves to its callers."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from pathlib import Path

import pooch
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from snnquant.errors import InputError

_BLOCK = 1 << 16
_SILENCE_S = 30.0
"""Seconds without a byte after which a connection counts as broken."""


def download(url: str, target: Path, sha256: str) -> None:
    """Download a file to `target`, which appears whole and checked, or not at all.

    After a broken connection the bytes received stay in `<target>.part`, and the next call resumes
    there. Progress goes to stderr.

    Raises `InputError` that names the address, the file and a way around, or both digests.
    """
    part = target.with_name(f"{target.name}.part")

    def resume(address: str, output_file: str, _: object) -> None:
        _fill(address, part)
        found = pooch.file_hash(str(part))
        if found != sha256:
            part.unlink()
            raise InputError(
                f"{address}: found sha256 {found[:12]}, expected {sha256[:12]}; "
                f"the download of {target.name} was deleted"
            )
        part.replace(output_file)

    pooch.get_logger().setLevel("WARNING")  # the progress bar already says it
    try:
        pooch.retrieve(url, f"sha256:{sha256}", target.name, target.parent, downloader=resume)
    except OSError as error:
        raise InputError(
            f"{target}: cannot be written ({error.strerror or error}), expected a writable "
            "cache folder (XDG_CACHE_HOME moves it)"
        ) from error


def _fill(url: str, part: Path) -> None:
    """Fetch the rest of `part`; retry broken connections as long as each try adds bytes."""
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            if _fetch_rest(url, part, before):
                return
            reason = "the connection closed early"
        except urllib.error.HTTPError as error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and before:
                return  # nothing seems left to fetch; the digest will tell
            reason = f"HTTP {error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        if not part.exists() or part.stat().st_size <= before:
            raise InputError(
                f"{url}: cannot be downloaded ({reason}); get {part.stem} another way "
                "and name its folder in SNNQUANT_DATA"
            )


def _fetch_rest(url: str, part: Path, start: int) -> bool:
    """Append one connection's bytes to `part`; return whether the server sent all it announced."""
    headers = {"User-Agent": "snnquant"} | ({"Range": f"bytes={start}-"} if start else {})
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=_SILENCE_S) as response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            start = 0  # the server sends the whole file again
        length = response.headers["Content-Length"]
        end = None if length is None else start + int(length)
        columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with (
            part.open("ab" if start else "wb") as file,
            Progress(*columns, console=Console(stderr=True)) as progress,
        ):
            task = progress.add_task(part.stem, completed=start, total=end)
            while block := response.read(_BLOCK):
                file.write(block)
                progress.advance(task, len(block))
            return end is None or file.tell() == end
