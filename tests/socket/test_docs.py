"""The page at `/docs` over a real connection."""

import httpx

from service.docs.domain import ASSETS, FOLDER
from tests.socket.conftest import Service


def test_the_largest_part_arrives_whole(service: Service) -> None:
    response = httpx.get(f"{service.url}/docs/swagger-ui-bundle.js")

    assert response.status_code == 200
    assert response.content == (FOLDER / ASSETS["swagger-ui-bundle.js"]).read_bytes()


def test_head_has_the_length_and_no_body(service: Service) -> None:
    answer = service.raw(
        b"HEAD /docs/swagger-ui.css HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    head, _, body = answer.partition(b"\r\n\r\n")
    length = (FOLDER / ASSETS["swagger-ui.css"]).stat().st_size

    assert head.startswith(b"HTTP/1.1 200")
    assert f"content-length: {length}".encode() in head.lower()
    assert body == b""
