"""The API's description of itself is true: its references resolve, it is strict, and the server keeps to it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ledger.api.command_table import COMMAND_ROUTES
from ledger.api.description import describe
from ledger.service import Ledger
from tests.integration.api_scene import Api, open_scene

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = settings(
    max_examples=4,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def api(ledger: Ledger) -> Iterator[Api]:
    """The API of an opened workspace."""
    with open_scene(ledger) as opened:
        yield opened


def references(value: Any) -> Iterator[str]:
    """Yield every reference of a document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_the_description_is_whole(api: Api) -> None:
    """OpenAPI 3.1; every reference leads somewhere, and every operation says what it does and answers."""
    document = api.client.get("/ledger/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for reference in set(references(document)):
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation["summary"], (method, path)
            assert operation["responses"], (method, path)
            placeholders = re.findall(r"{(\w+)}", path)
            stated = [each["name"] for each in operation.get("parameters", []) if each["in"] == "path"]
            assert sorted(stated) == sorted(placeholders), (method, path)


def test_bodies_are_described_as_strictly_as_they_are_read(api: Api) -> None:
    """No command takes an unknown field, states a secret, or asks for what its path says already."""
    document = describe(api.client.app)
    schemas = document["components"]["schemas"]
    for route in COMMAND_ROUTES:
        operation = document["paths"][f"/ledger/v1{route.path}"]["post"]
        assert operation["operationId"] == route.kind
        schema = schemas[operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].split("/")[-1]]
        assert schema["additionalProperties"] is False
        assert not {"kind", *route.path_fields, route.key_field} & set(schema["required"])
        assert "secret_hash" not in schema["properties"]
        headers = [each["name"] for each in operation["parameters"] if each["in"] == "header"]
        assert headers == (["Idempotency-Key"] if route.key_field else [])
    assert schemas["RouteRequest"]["required"][:2] == ["project_id", "api_key_id"]
    assert {"workspace_id", "request_id"} <= set(schemas["RouteRequest"]["required"])
    assert "reason" in schemas["PostAdjustment"]["required"]
    terms = schemas["SettleRequest"]["properties"]["terms"]
    assert (terms["maxItems"], terms["items"]["maxLength"]) == (8, 64)
    assert {"kind", "grant_id", "bucket", "workspace_id"} <= set(schemas["GrantFundsInBatch"]["required"])


def test_the_docs_page_asks_nobody_else(api: Api) -> None:
    """The page and its parts come from this server, and its policy lets the browser load from nowhere else."""
    page = api.client.get("/ledger/v1/docs")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 4
    for address in loaded:
        if address != "data:,":
            assert address.startswith("/ledger/v1/docs/assets/")
            assert api.client.get(address).status_code == 200
    assert "/ledger/v1/openapi.json" in api.client.get("/ledger/v1/docs/assets/start.js").text
    assert api.client.get("/ledger/v1/docs/assets/other.js").status_code == 404


# Schemathesis itself rolls dice inside its strategies, of which Hypothesis warns.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
@pytest.mark.slow
def test_the_server_keeps_to_its_description(api: Api) -> None:
    """Calls made up from the description are answered with declared statuses and shapes, and never with a 500."""
    schema = schemathesis.openapi.from_dict(describe(api.client.app))
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()

        @EXAMPLES
        @given(case=operation.as_strategy())
        def keeps_to_it(case: Any) -> None:
            sent = case.as_transport_kwargs(base_url="http://testserver")
            headers = {**sent.pop("headers", {}), "Authorization": f"Bearer {api.root}"}
            sent = {name: value for name, value in sent.items() if name in {"method", "url", "json", "params"}}
            case.validate_response(api.client.request(headers=headers, **sent), checks=CHECKS)

        keeps_to_it()
