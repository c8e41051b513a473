"""`eyespot.serve`: load a predictor, and serve it until Ctrl-C or SIGTERM."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from eyespot.console import live, say
from eyespot.errors import UserError
from eyespot.exits import Terminated
from eyespot.missing import extra
from eyespot.plurals import count
from eyespot.serving.limits import Limits

if TYPE_CHECKING:
    from eyespot.prediction.predictor import Predictor
    from eyespot.serving.on_ray import Cluster

SHORTEST = 16
"""Letters of a token, which nobody guesses."""
LOCAL = {"localhost", "127.0.0.1", "::1"}
"""Names by which this machine calls itself."""
AT_END = 5
"""Seconds beyond the limit of a request, after which stopping no longer waits for it."""


def serve(
    run: "str | os.PathLike | Predictor",
    *,
    port: int = 8000,
    host: str = "127.0.0.1",
    token: str | None = None,
    without_token: bool = False,
    limits: Limits = Limits(),
    on: str | None = None,
    **loading: str | None,
) -> None:
    """Serve a run folder, a model file, an exported file or a `Predictor`, until Ctrl-C or SIGTERM.

    host            the address to listen at: this machine alone, unless another is named
    token           that clients send as Authorization: Bearer TOKEN
    without_token   listen at another address without a token
    limits          see `eyespot.serving.limits.Limits`
    on              predict in the workers of Ray: local, or ray://HOST:PORT of a cluster
    loading         device, engine, precision: see `eyespot.load`

    Raises UserError for a host without a token, a port in use, a cluster that does not answer, and what `load` raises.
    """
    check_access(host, token, without_token)
    try:
        import uvicorn

        from eyespot.serving.app import create_app
        from eyespot.serving.service import Service
    except ImportError as error:
        raise UserError(f"serving needs more packages ({error.name} is missing): {extra('serve')}") from error
    with ExitStack() as stack:
        cluster = stack.enter_context(_cluster(run, on, limits, loading)) if on else None
        service = Service(_predictor(run, loading), limits, _name(run), cluster)
        listening = stack.enter_context(listen(host, port))
        app = create_app(service, token, LOCAL if is_local(host) and token is None else None)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            ws="none",
            timeout_graceful_shutdown=round(limits.seconds) + AT_END,
        )
        elsewhere = f", predicted by {count(cluster.processors, 'worker')} of Ray" if cluster else ""
        say(f"serving {service.predictor} at {address(listening)}{elsewhere} (Ctrl-C to stop)")
        with suppress(KeyboardInterrupt, Terminated):  # which uvicorn raises again after all is finished
            uvicorn.Server(config).run(sockets=[listening])
    say("stopped: what was taken in is finished")


@contextmanager
def _cluster(run: Any, on: str, limits: Limits, loading: dict[str, str | None]) -> "Iterator[Cluster]":
    """Workers of Ray, of which one has loaded the network."""
    from eyespot.prediction.on_ray import connected, workers
    from eyespot.serving.on_ray import Cluster

    if not isinstance(run, str | os.PathLike):
        raise UserError("on sends a run or file to the workers, and this is a predictor: give its path")
    with connected(on) as ray:
        cluster = Cluster(workers(ray, str(run), **loading), limits.seconds)
        live("loading the network in a worker")
        cluster.check()
        live()
        yield cluster


def _predictor(run: Any, loading: dict[str, str | None]) -> "Predictor":
    from eyespot.prediction.load import load

    return load(run, **loading) if isinstance(run, str | os.PathLike) else run


def _name(run: Any) -> str:
    return str(run) if isinstance(run, str | os.PathLike) else "model"


def check_access(host: str, token: str | None, without_token: bool) -> None:
    """Raises UserError where others could ask who should not."""
    if token is not None and (len(token) < SHORTEST or not token.isascii() or not token.isprintable()):
        raise UserError(
            f"the token has {count(len(token), 'letter')}: give at least {SHORTEST} plain ones, such as openssl rand -hex 16 prints"
        )
    if token is None and not is_local(host) and not without_token:
        raise UserError(
            f"at --host {host} others can reach this server: give a token (--token-file FILE), or say --without-token"
        )


def is_local(host: str) -> bool:
    """Whether only this machine reaches an address.

    >>> is_local("localhost"), is_local("127.0.0.2"), is_local("0.0.0.0")
    (True, True, False)
    """
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises UserError for an address that is in use or not of this machine."""
    try:
        family, *_, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise UserError(
            f"cannot listen at {host}:{port} ({error.strerror or error}): name another --port or --host"
        ) from error


def address(listening: socket.socket) -> str:
    """The address of the page."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
