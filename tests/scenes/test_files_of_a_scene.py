"""Search for files, and downloads from a server that may break off."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnquant.errors import InputError
from snnquant.scenes import load_scene
from snnquant.scenes.download import download
from snnquant.scenes.known import load_card
from snnquant.scenes.locate import file_digest, find_file, obtain_file

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """A server of one file: at most `cut` bytes per connection, in ranges or from the start."""

    def __init__(self) -> None:
        self.content, self.cut, self.ranges, self.status = CONTENT, 1 << 30, True, 200
        self.starts: list[int] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/scene.mat"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers["Range"] if self.server.ranges else None
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        self.server.starts.append(start)
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        if start >= len(self.server.content):
            self.send_error(416)
            return
        rest = self.server.content[start:]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: self.server.cut])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def dead_url() -> str:
    with Server() as running:
        return running.url


def test_a_download_arrives_whole(server, tmp_path, capfd):
    download(server.url, tmp_path / "deep" / "scene.mat", SHA256)
    assert (tmp_path / "deep" / "scene.mat").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["scene.mat"]
    out, err = capfd.readouterr()
    assert out == ""
    assert "scene.mat" in err


def test_broken_connections_are_resumed(server, tmp_path):
    server.cut = 100_000
    download(server.url, tmp_path / "scene.mat", SHA256)
    assert (tmp_path / "scene.mat").read_bytes() == CONTENT
    assert server.starts == [0, 100_000, 200_000]


def test_a_later_call_resumes_a_download(server, tmp_path):
    server.ranges, server.cut = False, 100_000
    with pytest.raises(InputError, match="the connection closed early"):
        download(server.url, tmp_path / "scene.mat", SHA256)
    assert not (tmp_path / "scene.mat").exists()
    assert (tmp_path / "scene.mat.part").stat().st_size == 100_000
    server.ranges, server.cut, server.starts = True, 1 << 30, []
    download(server.url, tmp_path / "scene.mat", SHA256)
    assert server.starts == [100_000]
    assert (tmp_path / "scene.mat").read_bytes() == CONTENT


def test_a_server_without_ranges_starts_over(server, tmp_path):
    server.ranges = False
    (tmp_path / "scene.mat.part").write_bytes(b"something else")
    download(server.url, tmp_path / "scene.mat", SHA256)
    assert (tmp_path / "scene.mat").read_bytes() == CONTENT


def test_a_part_that_has_everything_is_checked_and_taken(server, tmp_path):
    (tmp_path / "scene.mat.part").write_bytes(CONTENT)
    download(server.url, tmp_path / "scene.mat", SHA256)
    assert (tmp_path / "scene.mat").read_bytes() == CONTENT


@settings(deadline=None, max_examples=10)
@given(cut=st.integers(40_000, 400_000), had=st.integers(0, 300_000))
def test_any_cut_and_any_start_give_the_file(tmp_path_factory, cut, had):
    folder = tmp_path_factory.mktemp("cut")
    (folder / "scene.mat.part").write_bytes(CONTENT[:had])
    with Server() as server:
        server.cut = cut
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            download(server.url, folder / "scene.mat", SHA256)
        finally:
            server.shutdown()
    assert (folder / "scene.mat").read_bytes() == CONTENT


def test_content_with_another_digest_is_deleted(server, tmp_path):
    server.content = CONTENT[:-1] + b"!"
    found = hashlib.sha256(server.content).hexdigest()
    with pytest.raises(InputError, match=f"sha256 {found[:12]}, expected {SHA256[:12]}") as caught:
        download(server.url, tmp_path / "scene.mat", SHA256)
    assert server.url in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_server_and_a_missing_file(server, dead_url, tmp_path):
    for url, reason in ((dead_url, "refused"), (server.url, "HTTP 404")):
        server.status = 404
        with pytest.raises(InputError, match=f"{url}: .*{reason}.*scene.mat.*SNNQUANT_DATA") as e:
            download(url, tmp_path / "scene.mat", SHA256)
        assert "\n" not in str(e.value)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        download(server.url, tmp_path / "file" / "scene.mat", SHA256)


def test_an_own_card_downloads_once(server, make_card, card_text, tmp_path, monkeypatch, cube):
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    make_card()
    server.content = (tmp_path / "cube.npy").read_bytes()
    digest = hashlib.sha256(server.content).hexdigest()
    address = f'file = "far.npy"\nurl = "{server.url}"\nsha256 = "{digest}"'
    path = make_card(card_text.replace('file = "cube.npy"', address))
    card = load_card(path)
    assert find_file(card, card.cube) is None
    for _ in range(2):
        np.testing.assert_array_equal(load_scene(path).cube, cube)
    assert find_file(card, card.cube) == tmp_path / "cache" / "snnquant" / "field" / "far.npy"
    assert len(server.starts) == 1


def test_the_data_folder_is_searched_first_whatever_the_case(tmp_path, monkeypatch):
    monkeypatch.setenv("SNNQUANT_DATA", str(tmp_path))
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache")
    card = load_card("pavia_university")
    assert find_file(card, card.cube) is None
    cached = tmp_path / "cache" / "pavia_university" / "PaviaU.mat"
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert find_file(card, card.cube) == cached
    (tmp_path / "pAVIAu.MAT").write_bytes(b"MATLAB, but cut short")
    assert find_file(card, card.cube) == tmp_path / "pAVIAu.MAT"
    with pytest.raises(InputError, match=r"pAVIAu\.MAT: found sha256 .*, expected 28447fa87f7a"):
        obtain_file(card, card.cube)
    (tmp_path / "PaviaU.mat").touch()
    assert find_file(card, card.cube) == tmp_path / "PaviaU.mat"


def test_a_file_is_found_under_its_other_names(tmp_path, monkeypatch):
    monkeypatch.setenv("SNNQUANT_DATA", str(tmp_path))
    (tmp_path / "SalinasA_corrected.mat").touch()
    card = load_card("salinas_a")
    assert find_file(card, card.cube) == tmp_path / "SalinasA_corrected.mat"


def test_missing_local_data(tmp_path, monkeypatch):
    monkeypatch.setenv("SNNQUANT_DATA", str(tmp_path))
    with pytest.raises(InputError, match=rf"salinas_a_corrected\.mat.*SNNQUANT_DATA is {tmp_path}"):
        load_scene("salinas_a")
    monkeypatch.delenv("SNNQUANT_DATA")
    with pytest.raises(InputError, match="SNNQUANT_DATA is not set"):
        load_scene("salinas_a")
    monkeypatch.setenv("SNNQUANT_DATA", str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"SNNQUANT_DATA: found .*none, expected a folder"):
        load_scene("salinas_a")


def test_a_data_folder_that_cannot_be_read(tmp_path, monkeypatch):
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv("SNNQUANT_DATA", str(tmp_path))
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError, match=r"SNNQUANT_DATA: .* cannot be read \(Permission denied\)"):
        load_scene("salinas_a")


def test_a_package_that_is_not_installed(make_card, card_text):
    text = card_text.replace('"cube.npy"', '"a/cube.npy"\ndistribution = "no-such-package-here"')
    with pytest.raises(InputError, match=r"a/cube\.npy: not found.*pip install no-such-package"):
        load_scene(make_card(text))


def test_the_digest_of_envi_is_that_of_header_and_data(tmp_path):
    from spectral.io import envi

    envi.save_image(str(tmp_path / "a.hdr"), np.zeros((3, 3, 3)), ext="img")
    both = (tmp_path / "a.hdr").read_bytes() + (tmp_path / "a.img").read_bytes()
    assert file_digest(tmp_path / "a.hdr") == hashlib.sha256(both).hexdigest()
