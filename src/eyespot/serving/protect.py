"""Around the whole app: who may ask, what a browser may load, and what a client sees of a bug."""

import hmac
import sys
import time
import uuid
from collections.abc import MutableMapping
from traceback import print_exception

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eyespot.serving.limits import Refusal
from eyespot.serving.metrics import Metrics

OPEN = ("/", "/healthz", "/readyz", "/page/")
"""Paths that need no token: the page itself has nothing of the model, and what watches a server asks only whether it is up."""
GONE = 499
"""In the metrics, the status of a request whose client went away, as nginx has it."""
HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
Headers = MutableMapping[bytes, bytes]


def error_response(refusal: Refusal) -> JSONResponse:
    """The document of a request that is declined."""
    document = {"error": {"status": refusal.status, "message": refusal.sentence}, **refusal.details}
    return JSONResponse(document, refusal.status, refusal.headers)


def bug_response(error: Exception, scope: Scope) -> JSONResponse:
    """The document of a bug of ours: the client gets its number, and the log the traceback."""
    number = uuid.uuid4().hex[:12]
    print(f"eyespot: bug {number} in {scope['method']} {scope['path']!r}", file=sys.stderr)
    print_exception(error, file=sys.stderr)
    sentence = f"the server has a bug: please report it with the lines of its log that belong to {number}"
    return error_response(Refusal(500, sentence, details={"bug": number}))


class Protected:
    """An app of ASGI behind a token and a list of host names, with the headers of every response.

    token   that clients send as Authorization: Bearer TOKEN; None for no token
    hosts   by which the server may be called, against pages elsewhere whose name was bound to this address; None for any
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, token: str | None = None, hosts: set[str] | None = None
    ):
        self.app = app
        self.metrics = metrics
        self.token = None if token is None else token.encode()
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = [0]
        send = _with_headers(send, status)
        try:
            await self._respond(scope, receive, send, status)
        finally:
            path = getattr(scope.get("route"), "path", "other")
            self.metrics.count_request(path, status[0] or GONE, time.perf_counter() - started)

    async def _respond(self, scope: Scope, receive: Receive, send: Send, status: list[int]) -> None:
        try:
            self._check(scope)
            await self.app(scope, receive, send)
        except Refusal as refusal:
            await error_response(refusal)(scope, receive, send)
        except Exception as error:  # which the app has reported, or else it is done here
            if not status[0]:
                await bug_response(error, scope)(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        """Raises Refusal for a client that may not ask."""
        headers: Headers = dict(reversed(scope["headers"]))
        host = host_of(headers.get(b"host", b"").decode("latin-1"))
        if self.hosts is not None and host not in self.hosts:
            raise Refusal(
                421, "this server is only for its own machine, where it is called localhost or 127.0.0.1"
            )
        path = scope["path"]
        is_open = path in OPEN[:3] or path.startswith(OPEN[3])
        if self.token is None or is_open:
            return
        kind, _, given = headers.get(b"authorization", b"").partition(b" ")
        is_equal = hmac.compare_digest(given.strip(), self.token)
        if kind.lower() != b"bearer" or not is_equal:
            raise Refusal(
                401,
                "this server needs its token: send the header Authorization: Bearer TOKEN",
                {"WWW-Authenticate": "Bearer"},
            )


def host_of(header: str) -> str:
    """The name in a Host header, without the port.

    >>> host_of("LocalHost:8000"), host_of("[::1]:8000")
    ('localhost', '::1')
    """
    name = header.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]


def _with_headers(send: Send, status: list[int]) -> Send:
    """Send with the headers of every response, which also notes its status."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            status[0] = message["status"]
            present = {name.lower() for name, _ in message["headers"]}
            added = [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in present]
            message["headers"] = [*message["headers"], *added]
        await send(message)

    return sending
