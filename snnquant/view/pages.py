"""The pages as a WSGI application: runs, a cube, spectra, classes of a rectangle, started runs."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from werkzeug.exceptions import BadRequest, HTTPException, NotFound
from werkzeug.routing import Map, Rule
from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from snnquant.errors import InputError
from snnquant.scenes.colours import default_colour
from snnquant.view.drawn_areas import LETTERS
from snnquant.view.guard import FILE_POLICY, Guard, ViewRequest, secure
from snnquant.view.new_run import MODELS, NUMBERS, SPLITS, new_run, runs_folder
from snnquant.view.opened_run import PIXELS, OpenedRuns
from snnquant.view.run_list import find_run, find_runs, read_shown, row_of
from snnquant.view.started_run import StartedRun

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_ASSETS = {"view.js": "text/javascript", "draw.js": "text/javascript", "view.css": "text/css"}
_GET, _POST = ("GET",), ("POST",)


class Pages:
    """The application: a folder of runs behind a guard.

    Args:
        folder: Folder of runs, or one run.
        guard: The tokens and the checks.
        started: Starts runs on drawn areas.
    """

    def __init__(self, folder: Path, guard: Guard, started: StartedRun) -> None:
        self.folder, self.guard, self._started = folder, guard, started
        self._opened = OpenedRuns()
        self._templates = Environment(
            loader=PackageLoader("snnquant.view", "."),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        page, file = f"/{guard.token}", f"/{guard.file_token}"
        rules = [
            Rule(f"{page}/", endpoint=self._list, methods=_GET),
            Rule(f"{page}/<any({', '.join(map(repr, _ASSETS))}):name>", endpoint=self._asset,
                 methods=_GET),
            Rule(f"{page}/cube/<path:run>", endpoint=self._cube, methods=_GET),
            Rule(f"{page}/bands/<path:run>", endpoint=self._bands, methods=_GET),
            Rule(f"{page}/spectrum/<path:run>", endpoint=self._spectrum, methods=_GET),
            Rule(f"{page}/classes/<path:run>", endpoint=self._classes, methods=_POST),
            Rule(f"{page}/start/<path:run>", endpoint=self._start, methods=_POST),
            Rule(f"{page}/resume/<path:run>", endpoint=self._resume, methods=_POST),
            Rule(f"{page}/stop", endpoint=self._stop, methods=_POST),
            Rule(f"{page}/started", endpoint=self._status, methods=_GET),
            Rule(f"{file}/<path:run>/<name>", endpoint=self._file, methods=_GET),
            Rule(f"/{guard.once}", endpoint=self._forward, methods=_GET),
        ]  # fmt: skip
        self._rules = Map(rules, merge_slashes=False, strict_slashes=False)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request, nonce = ViewRequest(environ), secrets.token_urlsafe(16)
        try:
            self.guard.check(request)
            endpoint, values = self._rules.bind_to_environ(environ).match()
            response = endpoint(request, nonce, **values)
        except InputError as error:
            response = _json({"error": str(error)}, 400)
        except HTTPException as error:
            response = _json({"error": error.description}, error.code or 500)
            response.headers.extend(
                [(key, value) for key, value in error.get_headers() if key == "Allow"]
            )
        return secure(response, nonce)(environ, start_response)

    def _list(self, request: ViewRequest, nonce: str) -> Response:
        rows = [row_of(name, path) for name, path in find_runs(self.folder).items()]
        files = f"/{self.guard.file_token}"
        return self._page("runs.html.j2", nonce, rows=rows, folder=self.folder, files=files)

    def _asset(self, request: ViewRequest, nonce: str, name: str) -> Response:
        content = resources.files("snnquant.view").joinpath(name).read_text(encoding="utf-8")
        return Response(content, mimetype=_ASSETS[name])

    def _cube(self, request: ViewRequest, nonce: str, run: str) -> Response:
        path = self._path(run)
        with self._opened.lock:
            opened = self._opened.open(path)
        networks = [str(network) for network in _present(opened.run)]
        return self._page(
            "cube.html.j2",
            nonce,
            name=run,
            scene=opened.scene,
            bands=opened.default_bands,
            networks=networks[::-1],
            pixels=PIXELS,
            classes=list(zip(opened.scene.class_names, opened.scene.colours, strict=True)),
            palette=[default_colour(index) for index in range(20)],
            letters=LETTERS,
            startable=runs_folder(self.folder) is not None,
            unfinished=not (path / "metrics.json").exists(),
            models=MODELS,
            splits=SPLITS,
            numbers=NUMBERS,
        )

    def _bands(self, request: ViewRequest, nonce: str, run: str) -> Response:
        red, green, blue = (_number(request.args, name) for name in ("red", "green", "blue"))
        path = self._path(run)
        with self._opened.lock:
            picture = self._opened.open(path).false_colour((red, green, blue))
        return Response(picture, mimetype="image/png")

    def _spectrum(self, request: ViewRequest, nonce: str, run: str) -> Response:
        row, column = _number(request.args, "row"), _number(request.args, "column")
        path = self._path(run)
        with self._opened.lock:
            return _json(self._opened.open(path).spectrum(row, column))

    def _classes(self, request: ViewRequest, nonce: str, run: str) -> Response:
        given = _object(request)
        if not isinstance(given.get("network"), str):
            raise BadRequest("network: expected the key of a network")
        sides = [_number(given, name) for name in ("top", "bottom", "left", "right")]
        path = self._path(run)
        with self._opened.lock:
            found = self._opened.open(path).classes(
                given["network"], range(sides[0], sides[1]), range(sides[2], sides[3])
            )
        return _json({"classes": found.tolist()})

    def _start(self, request: ViewRequest, nonce: str, run: str) -> Response:
        given, path = _object(request), self._path(run)
        self._started.require_none()
        with self._opened.lock:
            name, arguments = new_run(self.folder, self._opened.open(path).scene, given)
        self._started.start(name, *arguments)
        return self._status(request, nonce)

    def _resume(self, request: ViewRequest, nonce: str, run: str) -> Response:
        self._started.start(run, "run", "--resume", str(self._path(run)), "--json")
        return self._status(request, nonce)

    def _stop(self, request: ViewRequest, nonce: str) -> Response:
        self._started.stop()
        return self._status(request, nonce)

    def _status(self, request: ViewRequest, nonce: str) -> Response:
        status = self._started.status()
        found = find_run(self.folder, status["name"]) if status["name"] else None
        name = status["name"] if found else None
        report = f"/{self.guard.file_token}/{quote(name)}/report.html" if name else ""
        shown = found is not None and (found / "report.html").exists()
        page = f"/{self.guard.token}/cube/{quote(name)}" if name else None
        return _json(status | {"page": page, "report": report if shown else None})

    def _file(self, request: ViewRequest, nonce: str, run: str, name: str) -> Response:
        content = read_shown(self._path(run), name)
        if content is None:
            raise NotFound("file: expected a report or a map of the run")
        response = Response(content, mimetype="image/png" if name[-1] == "g" else "text/html")
        response.headers["Content-Security-Policy"] = FILE_POLICY
        return response

    def _forward(self, request: ViewRequest, nonce: str) -> Response:
        self.guard.once = None
        return redirect(f"/{self.guard.token}/", 303)

    def _path(self, run: str) -> Path:
        """Return the folder of a listed run: a path that is not in the list cannot be asked for."""
        path = find_run(self.folder, run)
        if path is None:
            raise NotFound("run: expected one of the list")
        return path

    def _page(self, template: str, nonce: str, **values: Any) -> Response:
        page = f"/{self.guard.token}"
        text = self._templates.get_template(template).render(page=page, nonce=nonce, **values)
        return Response(text, mimetype="text/html")


def _present(run: Any) -> list[str]:
    try:
        return list(run.present())
    except InputError:  # none yet: the cube can still be looked at
        return []


def _object(request: ViewRequest) -> dict[str, Any]:
    try:
        given = json.loads(request.get_data())
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise BadRequest("body: expected a JSON object")
    return given


def _number(values: Any, name: str) -> int:
    try:
        return int(values[name])
    except (KeyError, ValueError, TypeError, OverflowError):
        raise BadRequest(f"{name}: expected a whole number") from None


def _json(content: object, status: int = 200) -> Response:
    return Response(json.dumps(content), status, mimetype="application/json")
