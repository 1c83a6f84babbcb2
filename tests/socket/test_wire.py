"""The wire format over a real connection."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.envelope import check_envelope
from tests.factories import item
from tests.socket.conftest import KEY, Service, running
from tests.waiting import SECONDS

HEAD = f"Host: localhost\r\nX-API-Key: {KEY}\r\nConnection: close\r\n".encode()


def parse(answer: bytes) -> tuple[int, dict[str, str], Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.title(): value for name, value in (line.split(": ", 1) for line in lines)}
    return int(status.split()[1]), headers, json.loads(body) if body else None


def error(answer: bytes, status: int, type_: str) -> None:
    code, headers, body = parse(answer)

    assert code == status
    headers["X-Request-ID"] = headers["X-Request-Id"]
    check_envelope(body, headers, status, type_)


def test_a_record_is_created_read_listed_changed_and_deleted(http: httpx.Client) -> None:
    created = http.post("/item", json={"name": "Ada", "email": "ada@example.org"})
    url = created.headers["Location"]

    assert created.status_code == 201
    assert http.get(url).json() == created.json()
    assert http.get("/item").json() == [created.json()]
    assert http.put(url, json={"name": "Zed"}).json()["name"] == "Zed"
    assert http.patch(url, json={"name": "Zoe"}).json()["name"] == "Zoe"
    assert http.delete(url).json() == {"message": "Item with `id: 1` has been deleted."}
    assert http.get(url).status_code == 404


def test_no_answer_names_its_server(http: httpx.Client) -> None:
    assert "Server" not in http.get("/item").headers


def test_a_304_has_neither_body_nor_length(http: httpx.Client, service: Service) -> None:
    http.post("/item", json=item())
    answer = service.raw(b'GET /item/1 HTTP/1.1\r\nIf-None-Match: "1"\r\n' + HEAD + b"\r\n")
    status, headers, body = parse(answer)

    assert (status, body) == (304, None)
    assert headers["Etag"] == '"1"'
    assert {"Content-Length", "Content-Type", "Transfer-Encoding"}.isdisjoint(headers)


def test_a_preflight_has_no_body_and_no_type(service: Service) -> None:
    answer = service.raw(
        b"OPTIONS /item HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Origin: http://localhost:8080\r\nAccess-Control-Request-Method: PUT\r\n\r\n"
    )
    status, headers, body = parse(answer)

    assert (status, body) == (204, None)
    assert {"Content-Length", "Content-Type"}.isdisjoint(headers)


def test_a_chunked_body_is_read_like_any_other(http: httpx.Client) -> None:
    chunks = iter([b'{"name": "Ada", ', b'"email": "ada@example.org"}'])
    response = http.post("/item", content=chunks, headers={"Content-Type": "application/json"})

    assert response.status_code == 201


@pytest.mark.parametrize("host", [b"a" * 300, b"\xfc..x", b"a b", b""])
def test_the_host_plays_no_part(service: Service, host: bytes) -> None:
    head = HEAD.replace(b"localhost", host)
    status, _, _ = parse(service.raw(b"GET /item HTTP/1.1\r\n" + head + b"\r\n"))

    assert status == 200


def test_a_websocket_handshake_is_answered_like_a_get(service: Service) -> None:
    answer = service.raw(
        b"GET /item HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )

    error(answer, 401, "InvalidPermissions")


async def test_twenty_clients_at_once_each_get_their_own(
    service: Service, empty_database: None
) -> None:
    async with httpx.AsyncClient(base_url=service.url, headers={"X-API-Key": KEY}) as client:
        payloads = [item() for _ in range(20)]
        answers = await asyncio.gather(*(client.post("/item", json=one) for one in payloads))

    assert [answer.json()["email"] for answer in answers] == [one["email"] for one in payloads]
    assert len({answer.json()["id"] for answer in answers}) == 20


async def test_of_twenty_twins_one_is_stored(
    tmp_path: Path, database_url: str, empty_database: None
) -> None:
    # With the deadline of a service that is not set: that of `service` is short.
    with running(tmp_path, database_url) as service:
        headers = {"X-API-Key": KEY}
        async with httpx.AsyncClient(base_url=service.url, headers=headers, timeout=60) as client:
            twin = item()
            answers = await asyncio.gather(*(client.post("/item", json=twin) for _ in range(20)))

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19


EARLY = [
    (b"POST /item", b"", 401),
    (b"POST /nope", b"X-API-Key: %b\r\n" % KEY.encode(), 404),
    (b"PUT /item", b"X-API-Key: %b\r\n" % KEY.encode(), 405),
    (b"POST /item", b"X-API-Key: %b\r\n" % KEY.encode(), 415),
    (
        b"DELETE /item/99",
        b"X-API-Key: %b\r\nContent-Type: application/json\r\n" % KEY.encode(),
        404,
    ),
]


@pytest.mark.parametrize(("line", "headers", "status"), EARLY)
def test_an_early_answer_leaves_the_connection_usable(
    service: Service, line: bytes, headers: bytes, status: int
) -> None:
    head = line + b" HTTP/1.1\r\nHost: x\r\n" + headers + b"Content-Length: 10\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=SECONDS) as connection:
        connection.sendall(head + b"12345")
        connection.sendall(b"67890GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = b"".join(iter(lambda: connection.recv(65536), b""))

    assert answers.startswith(b"HTTP/1.1 %d" % status)
    assert b'{"status":"alive"}' in answers


@pytest.mark.parametrize(("line", "headers", "status"), EARLY)
def test_an_early_answer_to_half_a_body_says_that_the_connection_closes(
    service: Service, line: bytes, headers: bytes, status: int
) -> None:
    answer = service.raw(
        line + b" HTTP/1.1\r\nHost: x\r\n" + headers + b"Content-Length: 10\r\n\r\n12345"
    )

    assert answer.startswith(b"HTTP/1.1 %d" % status)
    assert b"\r\nconnection: close\r\n" in answer.lower()


@pytest.mark.parametrize(
    "tail", [b"", b"\r\n", b"POST /item HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 99]
)
def test_data_after_the_last_request_of_a_connection_are_ignored(
    service: Service, http: httpx.Client, tail: bytes
) -> None:
    body = json.dumps(item()).encode()
    head = b"POST /item HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\n"
    status, _, record = parse(
        service.raw(head + b"Content-Length: %d\r\n\r\n" % len(body) + body + tail)
    )

    assert status == 201
    assert http.get("/item").json() == [record]


def test_a_trailer_may_be_other_than_ascii(service: Service, http: httpx.Client) -> None:
    body = json.dumps(item()).encode()
    head = b"POST /item HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\n"
    chunks = b"%x\r\n%b\r\n0\r\nX: \xc3\xa9\r\n\r\n" % (len(body), body)
    status, _, record = parse(service.raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks))

    assert status == 201
    assert http.get("/item").json() == [record]


async def test_answers_to_large_bodies_are_never_lost(
    service: Service, empty_database: None
) -> None:
    body = b" " * 2_000_000
    headers = {"X-API-Key": KEY, "Content-Type": "application/json"}
    async with httpx.AsyncClient(base_url=service.url, headers=headers) as client:
        urls = ["/nope", "/item", "/item/99"] * 10
        answers = await asyncio.gather(*(client.post(url, content=body) for url in urls))

    assert [answer.status_code for answer in answers] == [404, 413, 405] * 10


def test_repeated_preconditions_are_one_list(http: httpx.Client) -> None:
    http.post("/item", json=item())
    tags = [("If-None-Match", '"7"'), ("If-None-Match", '"1"')]

    assert http.get("/item/1", headers=tags).status_code == 304
    tags = [("If-Match", '"7"'), ("If-Match", '"1"')]
    assert http.delete("/item/1", headers=tags).status_code == 200
