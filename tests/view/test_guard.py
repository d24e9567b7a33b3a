"""Tests that the local page refuses whatever is not its user's own request."""

from __future__ import annotations

import secrets
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from socket import create_connection
from threading import Thread

import pytest
from werkzeug.test import Client

from snnquant.errors import InputError
from snnquant.view import bind
from snnquant.view.guard import BODY, Guard
from snnquant.view.started_run import StartedRun

HOST = "127.0.0.1:8765"
ORIGIN = f"http://{HOST}"
RECTANGLE = {"network": "cnn_fp32", "top": 0, "bottom": 2, "left": 0, "right": 2}


def _status(client: Client, path: str, method: str = "GET", **headers: str) -> int:
    given = {"Host": HOST} | headers
    return client.open(path, method=method, headers=given).status_code


def test_the_own_request_passes(client: Client, guard: Guard) -> None:
    assert _status(client, f"/{guard.token}/") == 200
    assert _status(client, f"/{guard.token}/", Origin=ORIGIN) == 200
    assert _status(client, f"/{guard.token}/", "HEAD") == 200


@pytest.mark.parametrize("page", ["", "view.js", "cube/first", "spectrum/first?row=1&column=1"])
def test_a_request_without_the_token_is_refused(client: Client, page: str) -> None:
    assert _status(client, f"/{page}") == 403
    assert _status(client, f"//{page}") == 403


def test_a_guess_of_the_token_is_refused(client: Client, guard: Guard) -> None:
    for guess in (
        secrets.token_urlsafe(32),
        guard.token[:-1],
        guard.token + "A",
        guard.token.swapcase(),
        "%C3%A9%E9",
        "None",
        "%00",
    ):
        assert _status(client, f"/{guess}/") == 403, guess


def test_tokens_are_long_and_new_at_every_start() -> None:
    guards = [Guard(1) for _ in range(3)]
    tokens = {token for g in guards for token in (g.token, g.file_token, g.once)}
    assert len(tokens) == 9
    assert all(token is not None and len(token) == 43 for token in tokens)
    assert not any(str(token) in repr(guards) for token in tokens)


def test_the_token_of_files_opens_no_page(client: Client, guard: Guard) -> None:
    assert _status(client, f"/{guard.file_token}/first/report.html") == 200
    for page in ("", "cube/first", "spectrum/first?row=1&column=1", "bands/first"):
        assert _status(client, f"/{guard.file_token}/{page}") == 404, page


def test_the_forwarding_address_works_once(client: Client, guard: Guard) -> None:
    once = guard.once
    answer = client.get(f"/{once}", headers={"Host": HOST})
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/{guard.token}/")
    assert _status(client, f"/{once}") == 403
    assert _status(client, "/None") == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "localhost:8765", "127.0.0.1", "127.0.0.1:80", ""]
)
def test_another_host_is_refused(client: Client, guard: Guard, host: str) -> None:
    assert _status(client, f"/{guard.token}/", Host=host) == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:8765", f"{ORIGIN}.evil.example"]
)
def test_another_origin_is_refused(client: Client, guard: Guard, origin: str) -> None:
    path = f"/{guard.token}/classes/first"
    own = client.post(path, json=RECTANGLE, headers={"Host": HOST, "Origin": ORIGIN})
    assert own.status_code == 200
    foreign = client.post(path, json=RECTANGLE, headers={"Host": HOST, "Origin": origin})
    assert foreign.status_code == 403
    assert _status(client, f"/{guard.token}/", Origin=origin) == 403


def test_a_post_without_an_origin_is_refused(client: Client, guard: Guard) -> None:
    answer = client.post(f"/{guard.token}/classes/first", json=RECTANGLE, headers={"Host": HOST})
    assert answer.status_code == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "X"])
def test_other_methods_are_refused(client: Client, guard: Guard, method: str) -> None:
    assert _status(client, f"/{guard.token}/", method, Origin=ORIGIN) == 405


def test_a_page_takes_only_its_own_method(client: Client, guard: Guard) -> None:
    headers = {"Host": HOST, "Origin": ORIGIN}
    assert client.post(f"/{guard.token}/", data=b"{}", headers=headers).status_code == 405
    assert _status(client, f"/{guard.token}/classes/first") == 405


def test_a_large_body_is_refused(client: Client, guard: Guard) -> None:
    headers = {"Host": HOST, "Origin": ORIGIN}
    path = f"/{guard.token}/classes/first"
    assert client.post(path, data=b" " * BODY, headers=headers).status_code == 400
    assert client.post(path, data=b" " * (BODY + 1), headers=headers).status_code == 413
    unread = client.get(f"/{guard.token}/", data=b" " * (BODY + 1), headers=headers)
    assert unread.status_code == 413
    unknown = client.post(
        path,
        input_stream=BytesIO(b" " * (BODY + 1)),
        headers=headers,
        environ_overrides={"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
    )
    assert unknown.status_code == 411


@pytest.mark.parametrize(
    "path",
    [
        "../outside.png",
        "first/../../outside.png",
        "first/..%2f..%2foutside.png",
        "first/%2e%2e/%2e%2e/outside.png",
        "first/%252e%252e/outside.png",
        "..%5coutside.png",
        "first//report.html",
        "/etc/passwd",
        "first//etc/passwd",
        "%2fetc%2fpasswd",
        "first/config.toml",
        "first/cnn.safetensors",
        "first/report.html%00.png",
        "first/report.html/",
        "first/map_link.png",
        "first/map_pipe",
        "other/report.html",
        "linked/report.html",
    ],
)
def test_a_path_outside_is_refused(client: Client, guard: Guard, runs: Path, path: str) -> None:
    outside = runs.parent / "outside.png"
    outside.write_bytes(b"secret")
    (runs / "first/map_link.png").symlink_to(runs / "first/map.png")
    (runs.parent / "other").mkdir()
    for file in ("config.toml", "report.html"):
        (runs.parent / "other" / file).write_text("secret", encoding="utf-8")
    (runs / "linked").symlink_to(runs.parent / "other")
    assert _status(client, f"/{guard.file_token}/first/map.png") == 200
    answer = client.get(f"/{guard.file_token}/{path}", headers={"Host": HOST})
    assert answer.status_code in (403, 404)
    assert b"secret" not in answer.data


@pytest.mark.parametrize("page", ["cube", "spectrum", "bands"])
@pytest.mark.parametrize("run", ["..", "../other", "first/..", "%2e%2e%2fother", "/etc", "first/"])
def test_a_run_outside_is_refused(client: Client, guard: Guard, page: str, run: str) -> None:
    query = "?row=1&column=1&red=1&green=1&blue=1"
    assert _status(client, f"/{guard.token}/{page}/first{query}") == 200
    assert _status(client, f"/{guard.token}/{page}/{run}{query}") == 404


@pytest.mark.parametrize("link", ["map_x.png", "metrics.json", "held_out/cnn.safetensors", "loop"])
def test_a_run_with_a_link_outwards_is_not_shown(
    client: Client, guard: Guard, runs: Path, link: str
) -> None:
    outside = runs.parent / "outside"
    outside.write_text("secret", encoding="utf-8")
    place = runs / "first" / link
    place.parent.mkdir(exist_ok=True)
    place.symlink_to("loop" if link == "loop" else outside)
    listed = client.get(f"/{guard.token}/", headers={"Host": HOST})
    assert b"cube/first" not in listed.data
    assert _status(client, f"/{guard.token}/cube/first") == 404
    assert _status(client, f"/{guard.file_token}/first/report.html") == 404


def test_every_answer_has_the_headers(client: Client, guard: Guard) -> None:
    for path in (f"/{guard.token}/", "/none", f"/{guard.file_token}/first/report.html"):
        headers = client.get(path, headers={"Host": HOST}).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "http" not in policy
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
    assert policy.startswith("sandbox ")
    assert "allow-same-origin" not in policy
    assert "connect-src" not in policy


def test_the_server_is_on_the_loopback_address_only(
    runs: Path, started: StartedRun, capfd: pytest.CaptureFixture[str]
) -> None:
    server, guard = bind(runs, 0, started)
    assert server.socket.getsockname() == ("127.0.0.1", guard.port)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        connection = HTTPConnection("127.0.0.1", guard.port, timeout=30)
        connection.request("GET", f"/{guard.token}/")
        answer = connection.getresponse()
        assert (answer.status, b"first" in answer.read()) == (200, True)
        assert answer.headers["Server"] == "snnquant"
        chunks = [b" " * BODY, b" "]
        headers = {"Origin": f"http://{guard.host}"}
        connection.request("POST", f"/{guard.token}/classes/first", iter(chunks), headers)
        assert connection.getresponse().status == 411
        connection.close()
        with create_connection(("127.0.0.1", guard.port), timeout=30) as raw:
            raw.sendall(f"GET /{guard.token}/ no request line\r\n\r\n".encode())
            assert b"400" in raw.recv(1000)
    finally:
        server.shutdown()
        thread.join()
    out, err = capfd.readouterr()
    assert guard.token not in out + err


def test_a_port_in_use_is_refused(runs: Path, started: StartedRun) -> None:
    server, guard = bind(runs, 0, started)
    try:
        with pytest.raises(InputError, match=f"--port {guard.port}: cannot be listened on"):
            bind(runs, guard.port, started)
    finally:
        server.server_close()
