"""The FastAPI application: every route under /v1, every refusal a problem, a document for those who may read."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from transhumance_airflow.api import problems
from transhumance_airflow.api.routes import accounts, events, health, operation, ops, requests, servers, webhooks
from transhumance_airflow.api.views import BASE

VERSION = "1.0"
PREFIX = "/v1"
DESCRIPTION = """
Migrations of a web host's servers and accounts, as its customer panel offers them.

* **Who calls**: a user of Airflow, by a token from `POST /auth/token`. **For whom**: the header
  `Transhumance-Customer`. A customer's calls reach that customer's servers and accounts only; a call without the header
  is one of the host's ops.
* **Actions** need an `Idempotency-Key`, answer 202 with a `Location` to look at, and are ordinary runs in Airflow.
* **Refusals** are RFC 9457 problem details whose `detail` says why and what to do.
"""
TAGS = [
    {"name": "accounts", "description": "An account: where it stands, its tests, perform."},
    {"name": "servers", "description": "A server: where it stands, its transit, charges."},
    {"name": "requests", "description": "What was asked for, and the run that does it."},
    {"name": "events", "description": "What happened, as pages and live."},
    {"name": "webhooks", "description": "Events that are delivered again."},
    {"name": "ops", "description": "What only the host's ops see and do."},
    {"name": "health", "description": "Whether the API can do its work."},
]


def make_app() -> FastAPI:
    """The application, to be mounted at /transhumance."""
    app = FastAPI(
        title="Transhumance",
        version=VERSION,
        description=DESCRIPTION.strip(),
        openapi_tags=TAGS,
        openapi_url=None,  # it is not open: see below
        docs_url=None,
        redoc_url=None,
    )
    problems.install(app)
    for module in (health, servers, accounts, requests, events, webhooks, ops):
        app.include_router(module.router, prefix=PREFIX)

    @app.get(f"{PREFIX}/openapi.json", operation_id="document", tags=["health"], **operation("read"))
    def document() -> dict[str, Any]:
        """This API's OpenAPI document."""
        return openapi(app)

    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]
    return app


def openapi(app: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            tags=app.openapi_tags,
            servers=[{"url": BASE.removesuffix(PREFIX)}],
        )
        schema = problems.ProblemDetails.model_json_schema()
        made.setdefault("components", {}).setdefault("schemas", {})["ProblemDetails"] = schema
        app.openapi_schema = made
    return app.openapi_schema
