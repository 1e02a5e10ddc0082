"""Requests that schemathesis generates from the OpenAPI schema, with real and mutated images."""

from collections.abc import Callable, Iterator
from importlib import import_module
from io import BytesIO
from pkgutil import iter_modules
from typing import Any

import pytest
import schemathesis
from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from PIL import Image
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from http_fakes import encoded_image, fake_app, running
from mien.server import dependencies, routes
from mien.server.errors import PROBLEMS
from mien.server.keys import digest_of, new_key
from videos import plain

PREFIX = f"{routes.__name__}."


def called(annotated: Any) -> Callable[..., object]:
    return annotated.__metadata__[0].dependency


# The codes of the errors of each dependency.
PROBLEMS_OF = {
    dependencies.authorize: dependencies.GUARDED_PROBLEMS,
    dependencies.admit: dependencies.GUARDED_PROBLEMS,
    called(dependencies.ImageUpload): dependencies.IMAGE_UPLOAD_PROBLEMS,
    called(dependencies.ImagesUpload): dependencies.IMAGE_UPLOAD_PROBLEMS,
    called(dependencies.VideoUpload): dependencies.VIDEO_UPLOAD_PROBLEMS,
}
CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]


def mutated(data: bytes) -> st.SearchStrategy[bytes]:
    """Return the file as it is, cut off, or with some bytes changed."""
    change = st.tuples(st.integers(0, len(data) - 1), st.binary(max_size=4))

    def apply(parts: tuple[list[tuple[int, bytes]], int]) -> bytes:
        changed = bytearray(data)
        for at, replacement in parts[0]:
            changed[at : at + len(replacement)] = replacement
        return bytes(changed[: parts[1]])

    changed = st.tuples(st.lists(change, max_size=4), st.integers(0, len(data))).map(apply)
    return st.just(data) | changed


def animated() -> bytes:
    buffer = BytesIO()
    frames = [Image.new("RGB", (120, 80), color) for color in ("red", "blue")]
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


SEEDS = [encoded_image(form=form) for form in ("JPEG", "PNG", "WEBP", "GIF", "TIFF")] + [animated()]
CLIPS = st.one_of(*(mutated(plain(0.3, form=form)) for form in ("mp4", "avi", "matroska")))
PICTURES = st.one_of(*map(mutated, SEEDS), CLIPS, st.binary(max_size=200))

schemathesis.openapi.media_type("application/octet-stream", PICTURES)
# In forms.
schemathesis.openapi.format("binary", PICTURES)


def operations() -> list[tuple[str, str]]:
    """Return the method and path of each operation of the document."""
    paths = fake_app()[0].openapi()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


@pytest.fixture(scope="module")
def api() -> Iterator[schemathesis.BaseSchema]:
    app, _ = fake_app(max_upload_bytes=200_000, max_pixels=1_000_000)
    with running(app) as port:
        yield schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")


def documented_routes() -> dict[tuple[str, str], APIRoute]:
    modules = [import_module(module.name) for module in iter_modules(routes.__path__, PREFIX)]
    routers = [each for m in modules for each in vars(m).values() if isinstance(each, APIRouter)]
    return {
        (method, route.path): route
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute) and route.include_in_schema
        for method in route.methods
    }


def test_the_document_has_every_documented_route(api: schemathesis.BaseSchema) -> None:
    found = [result.ok() for result in api.get_all_operations()]
    expected = documented_routes().keys()
    assert {(op.method.upper(), op.path) for op in found} == set(operations()) == expected


@pytest.mark.parametrize("operation", documented_routes(), ids=" ".join)
def test_every_operation_documents_the_errors_of_its_dependencies(
    operation: tuple[str, str],
) -> None:
    route = documented_routes()[operation]
    listed = [str(each["description"]).split(", ") for each in route.responses.values()]
    codes = {code for codes in listed for code in codes}

    def check(dependant: Dependant) -> None:
        assert codes >= set(PROBLEMS_OF.get(dependant.call, ()))
        for each in dependant.dependencies:
            check(each)

    check(route.dependant)


@pytest.mark.parametrize(("method", "path"), operations())
def test_every_operation_refuses_unknown_parameters(method: str, path: str) -> None:
    with TestClient(fake_app()[0]) as client:
        response = client.request(method, path, params={"nonsense": "1"})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_parameter")


def test_every_operation_that_needs_a_key_says_so_in_the_document() -> None:
    app, _ = fake_app(api_keys=digest_of(new_key()))
    guarded = set()
    with TestClient(app) as client:
        for method, path in operations():
            operation = app.openapi()["paths"][path][method.lower()]
            refused = client.request(method, path).status_code == 401
            assert refused == ("security" in operation) == ("401" in operation["responses"]), path
            if refused:
                guarded.add(path)
                assert {"429", "503"} <= set(operation["responses"]), path
    assert "/emotion" in guarded


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
@pytest.mark.parametrize(("method", "path"), operations())
def test_every_response_matches_the_schema(
    api: schemathesis.BaseSchema, method: str, path: str, mode: schemathesis.GenerationMode
) -> None:
    operation = api[path][method]
    statuses = set()

    @settings(max_examples=60, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        response = case.call()
        case.validate_response(response, checks=CHECKS)
        statuses.add(response.status_code)
        assert response.headers["x-request-id"]
        if response.status_code >= 400:
            problem = response.json()
            assert PROBLEMS[problem["code"]].status == problem["status"] == response.status_code

    try:
        ask()
    except Unsatisfiable:
        assert method == "GET", "what takes nothing can be sent nothing wrong"
    else:
        allowed = mode is schemathesis.GenerationMode.POSITIVE
        assert (200 in statuses) or not allowed
