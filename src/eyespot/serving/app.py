"""The server as an app of ASGI: health, metrics, the page and the form of errors; `api` has the paths of the model."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from eyespot import __version__
from eyespot.errors import UserError
from eyespot.guard import is_out_of_memory
from eyespot.serving.api import add_model
from eyespot.serving.limits import Refusal
from eyespot.serving.page import add_page
from eyespot.serving.protect import GONE, Protected, bug_response, error_response
from eyespot.serving.schema import errors
from eyespot.serving.service import Service

TALKATIVE = ("tifffile", "nibabel.global", "python_multipart.multipart")
"""Loggers of libraries that would write what a client's file says into the log of the server."""
SENTENCES = {404: "there is no such path: see /openapi.json", 405: "this path has another method"}


def create_app(service: Service, token: str | None = None, hosts: set[str] | None = None) -> ASGIApp:
    """The whole server. See `Protected` for the token and the hosts."""
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="eyespot",
        version=__version__,
        description="Predictions of one trained network: see /v1/model for its classes and metrics.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    _add_health(app, service)
    add_model(app, service)
    add_page(app)
    _add_errors(app)
    return Protected(app, service.metrics, token, hosts)


def _add_errors(app: FastAPI) -> None:
    """All errors have one form, and none has a traceback."""

    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> JSONResponse:
        return error_response(refusal)

    @app.exception_handler(UserError)
    async def cannot(_: Request, error: UserError) -> JSONResponse:
        return error_response(Refusal(422, str(error)))

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=GONE)

    @app.exception_handler(HTTPException)
    async def failed(_: Request, error: HTTPException) -> JSONResponse:
        sentence = SENTENCES.get(error.status_code, str(error.detail))
        return error_response(Refusal(error.status_code, sentence, dict(error.headers or {})))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        name = ".".join(str(word) for word in first["loc"][1:])
        return error_response(Refusal(400, f"{name}: {first['msg']}"))

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        if is_out_of_memory(error):
            return error_response(
                Refusal(503, "the memory of the server is too small for this request: send smaller images")
            )
        return bug_response(error, request.scope)


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", responses=errors(), summary="Is the process up?")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", responses=errors(503), summary="Does it take requests?")
    async def readyz() -> dict[str, str]:
        if not service.ready:
            raise Refusal(503, "the server is stopping")
        return {"status": "ready"}

    @app.get(
        "/metrics",
        responses=errors(),
        response_class=Response,
        summary="Counters in the format of Prometheus",
    )
    async def all_metrics() -> Response:
        return Response(service.metrics.text(), media_type=service.metrics.content_type)
