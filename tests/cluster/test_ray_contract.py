"""The tests of the service's contract once more, through the port of Ray Serve."""

from collections.abc import Iterator

import httpx2 as httpx
import pytest
from websockets.sync.client import connect

from http_fakes import encoded_image
from test_emotion import (
    test_a_part_with_content_type_but_no_file_name,
    test_bad_images,
    test_bad_parameters_are_named,
    test_batch_keeps_order_and_isolates_failures,
    test_batch_limits_and_types,
    test_faces_have_exactly_three_keys,
    test_include_adds_keys,
    test_labels,
    test_no_face_is_an_empty_list,
    test_the_body_may_be_the_image,
)
from test_upload import (
    test_an_extra_field_is_named,
    test_file_names_do_not_matter,
    test_forms,
    test_text_instead_of_a_file_gets_a_hint,
)

__all__ = [
    "test_a_part_with_content_type_but_no_file_name",
    "test_an_extra_field_is_named",
    "test_bad_images",
    "test_bad_parameters_are_named",
    "test_batch_keeps_order_and_isolates_failures",
    "test_batch_limits_and_types",
    "test_faces_have_exactly_three_keys",
    "test_file_names_do_not_matter",
    "test_forms",
    "test_include_adds_keys",
    "test_labels",
    "test_no_face_is_an_empty_list",
    "test_text_instead_of_a_file_gets_a_hint",
    "test_the_body_may_be_the_image",
]


@pytest.fixture
def photo() -> bytes:
    return encoded_image()


@pytest.fixture(scope="module")
def client(service: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{service}/fake", timeout=30) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/emotion", 405, "method_not_allowed"), ("GET", "/nothing", 404, "not_found")],
)
def test_unknown_routes(
    client: httpx.Client, method: str, path: str, status: int, code: str
) -> None:
    response = client.request(method, path)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_operator_endpoints(client: httpx.Client) -> None:
    assert client.get("/livez").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}
    assert client.get("/version").json()["name"] == "mien"
    assert "mien_model_info" in client.get("/metrics").text
    assert client.get("/openapi.json").status_code == 200
    assert "<html" in client.get("/").text


def test_a_live_view(service: str) -> None:
    with connect(f"{service.replace('http', 'ws')}/fake/live") as view:
        view.send(encoded_image())
        assert '"frame":0' in view.recv().replace(" ", "")
