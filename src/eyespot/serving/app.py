"""The HTTP API: its paths, with FastAPI."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from eyespot import __version__
from eyespot.serving.limits import Refusal
from eyespot.serving.model import model_document
from eyespot.serving.page import add_page
from eyespot.serving.protect import Protected, bug_response, error_response
from eyespot.serving.results import documents
from eyespot.serving.schema import IMAGES, errors
from eyespot.serving.service import Service, refuse_unread

IMAGE_ERRORS = errors(400, 413, 415, 422, 503)


def create_app(service: Service, token: str | None = None, hosts: set[str] | None = None) -> ASGIApp:
    """The whole server as an app of ASGI. See `Protected` for the token and the hosts."""

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
    _add_model(app, service)
    _add_predict(app, service)
    add_page(app)
    _add_handlers(app)
    return Protected(app, service.metrics, token, hosts)


def _add_handlers(app: FastAPI) -> None:
    """All errors have one form, and none has a traceback."""

    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> JSONResponse:
        return error_response(refusal)

    @app.exception_handler(HTTPException)
    async def failed(request: Request, error: HTTPException) -> JSONResponse:
        sentence = {404: "there is no such path: see /openapi.json", 405: "this path has another method"}
        headers = dict(error.headers or {})
        return error_response(
            Refusal(error.status_code, sentence.get(error.status_code, str(error.detail)), headers)
        )

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        return bug_response(error, request.scope)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        name = ".".join(str(word) for word in first["loc"][1:])
        return error_response(Refusal(400, f"{name}: {first['msg']}"))


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


def _add_model(app: FastAPI, service: Service) -> None:
    document = model_document(service)

    @app.get("/v1/model", responses=errors(), summary="Classes, metrics with intervals, limits")
    async def model() -> dict[str, Any]:
        return document


def _add_predict(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/predict",
        openapi_extra=IMAGES,
        responses=IMAGE_ERRORS,
        summary="Predict one or several images",
    )
    async def predict(request: Request) -> dict[str, Any]:
        outcomes = await service.predict(request)
        predicted = await service.queue.read(documents, outcomes, service.predictor.classes)
        refuse_unread(outcomes, predicted)
        return {"predictions": predicted}
