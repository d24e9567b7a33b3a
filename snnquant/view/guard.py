"""Checks that every request passes first, and the headers of every answer."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field

from werkzeug.exceptions import (
    Forbidden,
    LengthRequired,
    MethodNotAllowed,
    RequestEntityTooLarge,
)
from werkzeug.wrappers import Request, Response

BODY = 64 * 1024
"""Bytes of the largest body that is read."""
_METHODS = ("GET", "HEAD", "POST")


class ViewRequest(Request):
    """A request whose body is limited."""

    max_content_length = BODY
    max_form_memory_size = BODY
    max_form_parts = 10


def _token() -> str:
    return secrets.token_urlsafe(32)


@dataclass
class Guard:
    """Random first parts of the addresses, and the checks of a request.

    >>> guard = Guard(8000)
    >>> guard.address == f"http://127.0.0.1:8000/{guard.token}/", len(guard.token)
    (True, 43)
    """

    port: int
    """Port that the page is served on."""
    token: str = field(default_factory=_token, repr=False)
    """First part of the pages' addresses."""
    file_token: str = field(default_factory=_token, repr=False)
    """First part of the addresses of files: a report's script sees its own address, and must not
    learn that of the pages."""
    once: str | None = field(default_factory=_token, repr=False)
    """Address for a browser that this program starts; forwards to the pages, and only once."""

    @property
    def host(self) -> str:
        """The only accepted value of the header Host, as browsers write it."""
        return "127.0.0.1" if self.port == 80 else f"127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """The address of the first page."""
        return f"http://{self.host}/{self.token}/"

    def check(self, request: Request) -> None:
        """Raise an HTTP error for a request that is not the user's own.

        Another Host is a name that was rebound to this machine; another Origin is a foreign page.
        """
        if request.method not in _METHODS:
            raise MethodNotAllowed(_METHODS)
        if request.headers.get("Host") != self.host:
            raise Forbidden("Host: expected that of the printed address")
        origin = request.headers.get("Origin")
        if origin != f"http://{self.host}" and (origin is not None or request.method == "POST"):
            raise Forbidden("Origin: expected that of the printed address")
        first = request.path.removeprefix("/").partition("/")[0]
        tokens = [self.token, self.file_token, *([self.once] if self.once else [])]
        # All of them, so that the time tells nothing.
        matches = [
            hmac.compare_digest(first.encode(errors="replace"), token.encode()) for token in tokens
        ]
        if not any(matches):
            raise Forbidden("token: expected that of the printed address")
        if request.content_length is None and (
            request.method == "POST" or "Transfer-Encoding" in request.headers
        ):
            raise LengthRequired
        if (request.content_length or 0) > BODY:
            raise RequestEntityTooLarge


def secure(response: Response, nonce: str) -> Response:
    """Add the headers of a page: nothing from elsewhere, no script but the one with the nonce."""
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    response.headers.setdefault("Content-Security-Policy", policy)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-store"
    return response


FILE_POLICY = (
    "sandbox allow-scripts allow-modals; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""Policy of a file of a run: its script runs, apart from the pages and without requests."""
