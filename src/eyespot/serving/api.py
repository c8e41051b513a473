"""The paths of the model: its card, predictions, explanations and changed images."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from starlette.responses import Response

from eyespot.missing import has_torch
from eyespot.serving.body import shown
from eyespot.serving.limits import Refusal
from eyespot.serving.masks import ENDINGS, FORMATS
from eyespot.serving.model import model_document
from eyespot.serving.predict import Predict, PredictFile
from eyespot.serving.schema import IMAGES, errors, files_of_masks
from eyespot.serving.service import Service, refuse_unread, whole

IMAGE_ERRORS = (400, 413, 415, 422, 503)
JSON_TYPES = ("application/json", "application/*", "*/*")
"""What an Accept header may call JSON."""


def add_model(app: FastAPI, service: Service) -> None:
    """Add them to an app."""
    _add_card(app, service)
    _add_predict(app, service)
    if has_torch():
        _add_explain(app, service)
        _add_transform(app, service)


def _add_card(app: FastAPI, service: Service) -> None:
    document = model_document(service)

    @app.get("/v1/model", responses=errors(), summary="Classes, metrics with intervals, limits")
    async def model() -> dict[str, Any]:
        return document


def _add_predict(app: FastAPI, service: Service) -> None:
    of_masks = service.predictor.output.of_positions
    known = ["json", *(FORMATS if of_masks else ())]
    responses = errors(406, *IMAGE_ERRORS) | (files_of_masks() if of_masks else {})

    @app.post(
        "/v1/predict",
        openapi_extra=IMAGES,
        responses=responses,
        response_model=None,
        summary="Predict one or several images",
    )
    async def predict(
        request: Request,
        format: Annotated[
            str | None, one_of(known, f"json, or of a mask {', '.join(FORMATS)}; json if not given")
        ] = None,
        mask: Annotated[bool, Query(description="whether JSON has the mask as a file in base64")] = False,
        instances: Annotated[bool | None, Query(description="number the objects of a mask")] = None,
        view: Annotated[bool, Query(description="whether JSON has pictures, for the page")] = False,
    ) -> Any:
        if not of_masks and (mask or instances is not None):
            raise Refusal(
                400, "mask and instances are for networks that predict masks, and this one predicts classes"
            )
        kind = chosen_format(format, request.headers.get("accept", ""), known)
        if kind != "json":
            job = PredictFile(service.predictor, instances=instances, kind=kind)
            outcomes = await service.work(request, job, most=1)
            refuse_unread(outcomes)
            return _file(outcomes[0].result)
        job = Predict(service.predictor, mask, view, instances)
        return {"predictions": whole(await service.work(request, job))}


def one_of(values: Sequence[str], description: str, **more: Any) -> Any:
    """A parameter of the query that has one of these values, as the OpenAPI document says; the job refuses others."""
    return Query(description=description, json_schema_extra={"enum": list(values)}, **more)


def chosen_format(wanted: str | None, accept: str, known: Sequence[str]) -> str:
    """json, or the format of a mask, by ?format= or else by the Accept header. Raises Refusal for another."""
    if wanted is None:
        types = accepted(accept)
        by_type = {kind: name for name, kind in FORMATS.items()} | dict.fromkeys(JSON_TYPES, "json")
        names = [by_type[kind] for kind in types if kind in by_type]
        wanted = next((name for name in names if name in known), names[0] if names else "json")
    if wanted not in known:
        raise Refusal(406, f"the format is {shown(wanted)!r}, and this server sends {', '.join(known)}")
    return wanted


def accepted(header: str) -> list[str]:
    """The types that an Accept header names, the most wanted first, and wildcards last; without those of the quality 0.

    >>> accepted("image/png;q=0.5, application/json, image/tiff;q=0")
    ['application/json', 'image/png']
    """
    qualities: dict[str, float] = {}
    for entry in header.lower().split(","):
        kind, *parameters = (word.strip() for word in entry.split(";"))
        texts = [word[2:] for word in parameters if word.startswith("q=")]
        qualities[kind] = _quality(texts[0]) if texts else 1.0
    wanted = [kind for kind, quality in qualities.items() if quality > 0]
    return sorted(wanted, key=lambda kind: (-qualities[kind], "*" in kind))


def _quality(text: str) -> float:
    """Of an entry of an Accept header; one that is no number counts as 1."""
    try:
        return float(text)
    except ValueError:
        return 1.0


def _file(mask: Any) -> Response:
    name = f"mask{ENDINGS[mask.kind]}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(mask.content, media_type=FORMATS[mask.kind], headers=headers)


def _add_explain(app: FastAPI, service: Service) -> None:
    from eyespot.serving.explain import Explain, methods_of

    @app.post(
        "/v1/explain",
        openapi_extra=IMAGES,
        responses=errors(*IMAGE_ERRORS),
        summary="What the network looked at in an image",
    )
    async def explain(
        request: Request,
        target: Annotated[
            str | None,
            one_of(service.predictor.classes, "the predicted one if not given", alias="class"),
        ] = None,
        method: Annotated[str, one_of(methods_of(service.predictor), "how the map is computed")] = "grad-cam",
        check: Annotated[
            bool, Query(description="compare the map with an edge filter, which takes long")
        ] = False,
    ) -> dict[str, Any]:
        job = Explain(service.predictor, method, target, check)
        return {"explanations": whole(await service.work(request, job, most=1))}


def _add_transform(app: FastAPI, service: Service) -> None:
    from eyespot.serving.change import Transform

    @app.post(
        "/v1/transform",
        openapi_extra=IMAGES,
        responses=errors(*IMAGE_ERRORS),
        summary="What is predicted of a changed image",
    )
    async def transform(
        request: Request,
        change: Annotated[
            list[str] | None, Query(description="NAME:SEVERITY: see changes in /v1/model")
        ] = None,
    ) -> dict[str, Any]:
        job = Transform(service.predictor, change or [])
        return {"predictions": whole(await service.work(request, job, most=1))}
