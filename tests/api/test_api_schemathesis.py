"""Everything that the API's own document allows, and much that it does not: no 5xx, and no answer that it does not tell
of. The seed is fixed; as a customer, and as ops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from include import registry
from tests.api import callers
from tests.api.world import serving, with_test
from tests.registry import host
from transhumance_airflow.api import auth, streams
from transhumance_airflow.api.app import make_app
from transhumance_airflow.api.routes import ops

EXAMPLES = settings(
    max_examples=6,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def document(new_registry: Callable[[], str]) -> Iterator[schemathesis.schemas.BaseSchema]:
    """The document of an API whose examples are true: there is a blog on vps-1, which was handed over its transit."""
    with pytest.MonkeyPatch.context() as monkeypatch, serving(new_registry(), monkeypatch) as api:
        monkeypatch.setattr(streams, "LIFETIME_SECONDS", 0)
        monkeypatch.setattr(auth, "_count", lambda *_: None)
        monkeypatch.setattr(ops.registry, "campaigns", lambda _: [], raising=False)
        entry = registry.Entry("infrastructure-2026", "A new Debian", "infrastructure", "2022", "2026")
        registry.sync_catalogue(api.conn, [entry])
        registry.add_account(api.conn, "blog", "vps-1", ["blog.example"])
        with_test(api.conn, "blog")
        host.handed_over(api.conn, 1)
        whole = FastAPI()
        whole.mount("/transhumance", api.client.app)
        yield schemathesis.openapi.from_asgi("/transhumance/v1/openapi.json", whole, headers=callers.headers("panel"))


CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
LABELS = [f"{method.upper()} {path}" for path, methods in make_app().openapi()["paths"].items() for method in methods]
NAMES = {"server": "vps-1", "account": "blog", "test": 1}
"""Something that is there; what else the document allows is tried as well."""


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("user", ["panel", "ops"])
def test_nothing_undocumented_is_met(document: schemathesis.schemas.BaseSchema, label: str, user: str) -> None:
    operation = document.find_operation_by_label(label)
    assert operation
    named = {name: NAMES[name] for name in NAMES if f"{{{name}}}" in label}
    caller = callers.headers(user, "customer-1" if user == "panel" else None)

    def met(mode: GenerationMode, **fixed: Any) -> None:
        @EXAMPLES
        @given(case=operation.as_strategy(generation_mode=mode, **fixed))
        def ask(case: schemathesis.Case) -> None:
            if user == "ops":
                case.headers.pop("Transhumance-Customer", None)
            case.call_and_validate(headers=caller, checks=CHECKS)

        ask()

    met(GenerationMode.POSITIVE)
    if "{" in label:
        met(GenerationMode.POSITIVE, path_parameters=named)
    if user == "panel" and label not in ("GET /v1/health", "GET /v1/openapi.json"):  # what could be wrong about these?
        met(GenerationMode.NEGATIVE)
