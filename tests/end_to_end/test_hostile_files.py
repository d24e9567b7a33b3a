"""Files given to `snnquant convert` that are damaged, mistaken or meant to do harm.

Each is refused in one line with exit code 2; nothing is run, written or taken into memory.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from snnquant.checkpoints.tensorfile import write_tensors
from snnquant.config import ModelConfig
from snnquant.models import build_model

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command, Refused

BANDS, CLASSES = 16, 8
BOMB = 2**29
"""Bytes that a bomb would unpack to."""


def _state() -> dict[str, Tensor]:
    torch.manual_seed(0)
    config = ModelConfig(widths=(8, 8))
    return dict(build_model(config, BANDS, CLASSES).state_dict())


def _whole() -> bytes:
    buffer = io.BytesIO()
    torch.save(_state(), buffer)
    return buffer.getvalue()


class Touch:
    """Unpickled, it writes a file in the working folder."""

    def __reduce__(self) -> Any:
        return os.system, ("touch executed",)


def _saved(change: Callable[[dict[str, Any]], Any], legacy: bool = False) -> Any:
    def write(path: Path) -> None:
        state: dict[str, Any] = _state()
        replaced = change(state)
        content = state if replaced is None else replaced
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)

    return write


def _with(name: str, value: Any) -> Any:
    return _saved(lambda state: state.update({name: value}))


def _bytes(content: bytes) -> Any:
    return lambda path: path.write_bytes(content)


def _header(length: int, text: bytes, data: bytes = b"") -> Any:
    """A safetensors file: the length that it states, its header and its data."""
    return _bytes(struct.pack("<Q", length) + text + data)


def _tensors(entries: dict[str, Any], data: bytes = b"\0" * 64) -> Any:
    text = json.dumps(entries).encode()
    return _header(len(text), text, data)


def _entry(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def _deflated(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("archive/data.pkl", "w", force_zip64=True) as member:
            for _ in range(BOMB // 2**24):
                member.write(bytes(2**24))
        archive.writestr("archive/version", "3")


def _overlapping(path: Path) -> None:
    """Every entry of the archive's directory points at the same stored member."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", bytes(2**16))
        (member,) = archive.infolist()
        archive.filelist.extend([member] * 500)
        archive._didModify = True  # type: ignore[attr-defined]


def _shared(path: Path) -> None:
    storage = torch.zeros(2**18)
    torch.save({f"layer{i}.weight": storage for i in range(1000)}, path)


def _cyclic(state: dict[str, Any]) -> None:
    state["model"] = state


def _nested(state: dict[str, Any]) -> Any:
    content: Any = state
    for _ in range(300):
        content = {"model": content}
    return content


def _torchscript(path: Path) -> None:
    with pytest.warns(DeprecationWarning, match="script"):
        torch.jit.script(nn.Linear(2, 2)).save(path)


def _checkpoint(**changes: Any) -> Any:
    """A checkpoint of this package whose digest is right and whose header is not."""

    def write(path: Path) -> None:
        model = {"name": "cnn32h", "window": 5, "widths": [4, 4, 8, 8], "dropout": 0.2}
        header: dict[str, Any] = {
            "format": 1,
            "what": "checkpoint",
            "model": model | changes.pop("model", {}),
            "quantization": None,
            "neuron": None,
            "bands": BANDS,
            "classes": CLASSES,
            "scene_digest": "",
            "split_digest": "",
        }
        tensors = {f"network.{name}": tensor for name, tensor in _state().items()}
        tensors |= {f"normalisation.{name}": torch.ones(BANDS) for name in ("mean", "std")}
        write_tensors(path, tensors, header | changes)

    return write


def _graph(kind: str, settings: dict[str, Any]) -> Any:
    """A checkpoint of a network of the user's own: one layer."""
    row = {"name": "only", "kind": kind, "settings": settings, "inputs": ["input"]}
    return _checkpoint(model={"name": "net.py:Net"}, graph=[row])


def _huge_pickle_number(path: Path) -> None:
    """A legacy file whose one tensor is stated to be larger than any memory."""
    storage = ("storage", torch.FloatStorage, "0", "cpu", 2**50, None)

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return storage if isinstance(obj, bytearray) else None

    class Rebuilt:
        def __reduce__(self) -> Any:
            arguments = (bytearray(), 0, (2**50,), (1,), False, OrderedDict())
            return torch._utils._rebuild_tensor_v2, arguments

    with path.open("wb") as file:
        for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(part, file, protocol=2)
        Pickler(file, protocol=2).dump({"conv1.weight": Rebuilt()})
        pickle.dump(["0"], file, protocol=2)
        file.write(struct.pack("<q", 2**50))


CLASSIFIER = "classifier.weight"
MANY = "thirty thousand names"
FILES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    # what is no file
    "nothing there": ("x.pt", lambda path: None),
    "a folder": ("x.pt", Path.mkdir),
    "a link to itself": ("x.pt", lambda path: path.symlink_to(path.name)),
    "two links to each other": (
        "x.pt",
        lambda path: (path.symlink_to("y.pt"), path.with_name("y.pt").symlink_to("x.pt")),
    ),
    "a link to nothing": ("x.pt", lambda path: path.symlink_to("nowhere.pt")),
    "a pipe": ("x.pt", os.mkfifo),
    "a pipe for safetensors": ("x.safetensors", os.mkfifo),
    "an endless device": ("x.pt", lambda path: path.symlink_to("/dev/zero")),
    # what is damaged
    "empty": ("x.pt", _bytes(b"")),
    "empty safetensors": ("x.safetensors", _bytes(b"")),
    "one byte": ("x.pt", _bytes(b"P")),
    "half": ("x.pt", lambda path: path.write_bytes(_whole()[: len(_whole()) // 2])),
    "all but a byte": ("x.pt", lambda path: path.write_bytes(_whole()[:-1])),
    "text": ("x.pt", _bytes(b"layer,weight\nconv1,0.5\n")),
    "noise": ("x.pt", _bytes(bytes(range(256)) * 40)),
    "an archive of nothing": ("x.pt", lambda path: zipfile.ZipFile(path, "w").close()),
    "a TorchScript archive": ("x.pt", _torchscript),
    "PyTorch's under the other name": ("x.safetensors", _saved(lambda state: None)),
    "safetensors under the other name": ("x.pt", lambda path: save_file(_state(), path)),
    # what would run code
    "a pickle": ("x.pt", _bytes(pickle.dumps(Touch(), 4))),
    "a pickle of the oldest kind": ("x.pt", _bytes(b"cos\nsystem\n(S'touch executed'\ntR.")),
    "a pickle for safetensors": ("x.safetensors", _bytes(pickle.dumps(Touch(), 4))),
    "code beside weights": ("x.pt", _with("more", Touch())),
    "code beside weights, legacy": (
        "x.pt",
        _saved(lambda state: state.update(more=Touch()), legacy=True),
    ),
    "code below weights": ("x.ckpt", _saved(lambda state: {"state_dict": state, "hooks": Touch()})),
    "a whole module": ("x.pt", _saved(lambda state: nn.Linear(2, 2))),
    # what is larger than its file
    "a compressed archive": ("x.pt", _deflated),
    "an archive whose entries overlap": ("x.pt", _overlapping),
    "a tensor without strides": ("x.pt", _with(CLASSIFIER, torch.zeros(1).expand(BOMB))),
    "a thousand names for one tensor": ("x.pt", _shared),
    "a storage larger than memory": ("x.pt", _huge_pickle_number),
    "a header of 2^63 bytes": ("x.safetensors", _header(2**63, b"{}")),
    "a header longer than the file": ("x.safetensors", _header(10**9, b"{}")),
    "a tensor longer than the file": (
        "x.safetensors",
        _tensors({"conv1.weight": _entry([BOMB], 0, 4 * BOMB)}),
    ),
    "a shape that overflows": (
        "x.safetensors",
        _tensors({"conv1.weight": _entry([2**40, 2**40], 0, 64)}),
    ),
    "a checkpoint of large widths": (
        "x.safetensors",
        _checkpoint(model={"widths": [30_000, 30_000, 8, 8]}),
    ),
    "a checkpoint of many classes": ("x.safetensors", _checkpoint(classes=10**12)),
    "a graph larger than the file": (
        "x.safetensors",
        _graph("Linear", {"in_features": 10**5, "out_features": 10**5}),
    ),
    "a graph that pads without end": ("x.safetensors", _graph("ZeroPad3d", {"padding": [900] * 6})),
    "a graph that names a function": ("x.safetensors", _graph("os.system", {"command": "true"})),
    # wrong headers of safetensors
    "a header that is no JSON": ("x.safetensors", _header(8, b"nonsense")),
    "a header that is a list": ("x.safetensors", _header(2, b"[]")),
    "a deep header": ("x.safetensors", _header(100_000, b"[" * 100_000)),
    "tensors that overlap": (
        "x.safetensors",
        _tensors({"a.weight": _entry([16], 0, 64), "b.weight": _entry([8], 16, 48)}),
    ),
    "a negative shape": ("x.safetensors", _tensors({"a.weight": _entry([-16], 0, 64)})),
    "an unknown type": ("x.safetensors", _tensors({"a.weight": _entry([16], 0, 64, "F31")})),
    "another shape than bytes": ("x.safetensors", _tensors({"a.weight": _entry([3], 0, 64)})),
    # what is no state dict
    "a list": ("x.pt", _saved(lambda state: list(state.values()))),
    "a tensor": ("x.pt", _saved(lambda state: state[CLASSIFIER])),
    "nothing saved": ("x.pt", _saved(lambda state: {})),
    "numbers for names": ("x.pt", _saved(lambda state: dict(enumerate(state.values())))),
    "a state dict 300 levels down": ("x.pt", _saved(_nested)),
    "a name with terminal codes": ("x.pt", _with("\x1b[2J\nweight", torch.ones(2))),
    # weights that are none
    "whole numbers": ("x.pt", _with(CLASSIFIER, torch.ones(8, 8, dtype=torch.int64))),
    "truth values": ("x.pt", _with(CLASSIFIER, torch.ones(8, 8, dtype=torch.bool))),
    "complex numbers": ("x.pt", _with(CLASSIFIER, torch.ones(8, 8, dtype=torch.complex64))),
    "8-bit floats": ("x.pt", _with(CLASSIFIER, torch.ones(8, 8).to(torch.float8_e4m3fn))),
    "half numbers that overflowed": ("x.pt", _with(CLASSIFIER, (torch.ones(8, 8) * 1e6).half())),
    "no number": ("x.pt", _with(CLASSIFIER, torch.full((8, 8), torch.nan))),
    "infinity": ("x.pt", _with(CLASSIFIER, torch.full((8, 8), -torch.inf))),
    "infinity for safetensors": (
        "x.safetensors",
        lambda path: save_file(_state() | {CLASSIFIER: torch.full((8, 8), torch.inf)}, path),
    ),
    "sparse": ("x.pt", _with(CLASSIFIER, torch.eye(8).to_sparse())),
    "without values": ("x.pt", _with(CLASSIFIER, torch.ones(8, 8, device="meta"))),
    # weights of another network
    "a layer too few": ("x.pt", _saved(lambda state: (state.pop(CLASSIFIER), None)[1])),
    "a layer too many": ("x.pt", _with("conv9.weight", torch.ones(3))),
    "another shape": ("x.pt", _with(CLASSIFIER, torch.ones(9, 8))),
    "another shape for safetensors": (
        "x.safetensors",
        lambda path: save_file(_state() | {CLASSIFIER: torch.ones(9, 8)}, path),
    ),
    "no dimension": ("x.pt", _with(CLASSIFIER, torch.tensor(1.0))),
    "an empty tensor": ("x.pt", _with(CLASSIFIER, torch.ones(0, 8))),
    MANY: (
        "x.pt",
        _saved(lambda state: {f"layer{i}.weight": x for i, x in enumerate(torch.ones(3 * 10**4))}),
    ),
}


def test_there_are_forty() -> None:
    assert len(FILES) >= 40


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.slow if case == MANY else ()) for case in FILES],
)
def test_hostile_file(case: str, refused: Refused, quick: tuple[str, ...], tmp_path: Path) -> None:
    name, write = FILES[case]
    folder = tmp_path / "given"  # what is written there is no part of the folder's contents
    folder.mkdir()
    write(folder / name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = refused("convert", Path("given") / name, *quick)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert name in line
    assert line.isprintable()
    assert len(line) < 1000
    assert not list(tmp_path.rglob("executed"))
    assert grown < 300_000, "kilobytes"


@pytest.mark.parametrize(
    ("write", "left_out"), [(_saved(_cyclic), "model"), (_with("epoch", 3), "epoch")]
)
def test_what_stands_beside_the_weights_is_left_out_and_said(
    write: Callable[[Path], Any],
    left_out: str,
    snnquant: Command,
    quick: tuple[str, ...],
    tmp_path: Path,
) -> None:
    write(tmp_path / "x.pt")
    outcome = snnquant("convert", tmp_path / "x.pt", *quick, "--output", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    assert any("left out" in line and left_out in line for line in outcome.err.splitlines())


def test_the_traps_were_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the way that is refused, every file that would run code does."""
    monkeypatch.chdir(tmp_path)
    for case in [name for name in FILES if name.startswith(("a pickle", "code"))]:
        FILES[case][1](tmp_path / "x")
        if case.startswith("code"):
            torch.load(tmp_path / "x", weights_only=False)
        else:
            pickle.loads((tmp_path / "x").read_bytes())
        assert (tmp_path / "executed").exists(), case
        (tmp_path / "executed").unlink()
