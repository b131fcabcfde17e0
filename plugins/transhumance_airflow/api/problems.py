"""Refusals as RFC 9457 problem details: each says in one sentence why, and what to do."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from include import registry

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
URN = "urn:transhumance:problem:"
RETRY_SECONDS = 5
"""After which to try again when the registry does not answer."""

KINDS: dict[str, tuple[int, str]] = {
    "no-token": (401, "The call has no valid token"),
    "not-allowed": (403, "This caller may not do that"),
    "not-found": (404, "There is no such thing, or it is not yours"),
    "no-such-method": (405, "That cannot be done here"),
    "wrong-state": (409, "That cannot be done now"),
    "bad-request": (422, "The call is not what it should be"),
    "key-reused": (422, "The Idempotency-Key belongs to another call"),
    "too-many": (429, "Too many calls"),
    "failed": (500, "Something went wrong here"),
    "unavailable": (503, "It cannot be done at this moment"),
}
"""Every problem: its status and its title."""

SENTENCES = {
    401: "No valid token came with the call: get one at /auth/token and send it as 'Authorization: Bearer TOKEN'.",
    404: "There is no such account here: check its name, and the customer that you act for.",
    403: "You may not perform accounts: ask the host for the right to trigger migrate_server.",
    405: "This address does not take DELETE: see the API's document.",
    409: "Account blog is being moved already: wait until that move has ended.",
    422: "entry is missing: correct the call.",
    429: "More than 30 actions in a minute for this customer: try again in 12 s.",
    500: "The call was not finished because of a fault of this API: tell the host when it was.",
    503: "The registry does not answer: try again in a few seconds.",
}
"""An example for each status, as the API's document shows it."""


class ProblemDetails(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(description="Which problem, for programs: `urn:transhumance:problem:NAME`.")
    title: str = Field(description="The problem in general.")
    status: int = Field(description="The answer's status, once more.")
    detail: str = Field(description="One sentence for people: why, and what to do.")


class Problem(Exception):
    """A refusal; `kind` is one of `KINDS`."""

    def __init__(self, kind: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.headers = kind, detail, headers or {}

    def answer(self) -> JSONResponse:
        """The HTTP answer."""
        status, title = KINDS[self.kind]
        body = ProblemDetails(type=URN + self.kind, title=title, status=status, detail=self.detail)
        return JSONResponse(body.model_dump(), status, self.headers, MEDIA_TYPE)


def unavailable(detail: str) -> Problem:
    """What is asked again a little later."""
    return Problem("unavailable", detail, {"Retry-After": str(RETRY_SECONDS)})


def install(app: FastAPI) -> None:
    """Make every refusal of the app, expected or not, a problem."""

    @app.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> JSONResponse:
        return error.answer()

    @app.exception_handler(registry.RegistryRefused)
    async def refused(_: Request, error: registry.RegistryRefused) -> JSONResponse:
        return Problem("wrong-state", str(error)).answer()

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        said = "; ".join(_told(each) for each in error.errors()[:5])
        return Problem("bad-request", f"{said}: correct the call.").answer()

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        kind = next((name for name, (status, _) in KINDS.items() if status == error.status_code), "bad-request")
        if kind == "not-found":
            return Problem(kind, f"Nothing is at {request.url.path[:200]}: see the API's document.").answer()
        if kind == "no-such-method":
            sentence = f"This address does not take {request.method}: see the API's document."
            return Problem(kind, sentence, dict(error.headers or {})).answer()
        return Problem(kind, str(error.detail), dict(error.headers or {})).answer()

    @app.exception_handler(psycopg.OperationalError)
    async def no_registry(_: Request, error: psycopg.OperationalError) -> JSONResponse:
        log.warning("The registry does not answer: %s", error)
        return unavailable("The registry does not answer: try again in a few seconds.").answer()

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        log.exception("%s %s failed.", request.method, request.url.path, exc_info=error)
        return Problem("failed", SENTENCES[500]).answer()


def _told(error: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"][1:]) or "the body"
    if error["type"] == "missing":
        return f"{where} is missing"
    return f"{where}: {str(error['msg'])[:200].rstrip('.').lower()}"


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems of an operation for the API's document, beside those that every operation may answer."""
    return {status: _document(status) for status in sorted({401, 403, 404, 422, 429, 503, *statuses})}


def _document(status: int) -> dict[str, Any]:
    kind, (_, title) = next((kind, known) for kind, known in KINDS.items() if known[0] == status)
    example = {"type": URN + kind, "title": title, "status": status, "detail": SENTENCES[status]}
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    document: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: {"schema": schema, "example": example}},
    }
    if status in (429, 503):
        seconds = {"type": "integer", "minimum": 1}
        document["headers"] = {"Retry-After": {"description": "Seconds.", "schema": seconds}}
    if status == 401:
        document["headers"] = {"WWW-Authenticate": {"description": "`Bearer`.", "schema": {"type": "string"}}}
    return document
