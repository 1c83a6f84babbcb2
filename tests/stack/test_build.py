"""The build of the image: from the user's package index, of which nothing is stored."""

import base64
import os
import re
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ops import indexes
from ops.bootstrap import python_with_pip
from tests.stack.project import Stack, new_stack

pytestmark = pytest.mark.stack

USER, PASSWORD = "builder", "s3cret-of-the-index"
LOGIN = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@dataclass
class Index:
    """A package index that asks for a login, and passes on what the machine's own index says."""

    upstream: str
    asked: list[str] = field(default_factory=list)
    port: int = 0


def default_index() -> str:
    """Return the index of pip, as its help says."""
    command = [str(python_with_pip()), "-m", "pip", "install", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"\(default\s+(https://\S+)\)", text)

    assert found, text
    return found[1]


@pytest.fixture
def index() -> Iterator[Index]:
    found = Index((indexes.find(os.environ).main or default_index()).rstrip("/"))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers["Authorization"] != LOGIN:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="index"')
                self.end_headers()
                return
            found.asked.append(self.path)
            address = f"{found.upstream}/{self.path.removeprefix('/simple/')}"
            request = urllib.request.Request(address, headers={"Accept": "text/html"})  # noqa: S310
            with urllib.request.urlopen(request) as answer:  # noqa: S310
                body = answer.read()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


def built(stack: Stack, **environment: str) -> subprocess.CompletedProcess[str]:
    """Build the image without what is there from earlier builds."""
    script = "from ops.containers import compose; compose.prepare(); compose.build()"
    with (stack.directory / "requirements/production.txt").open("a") as lock:
        lock.write(f"# {os.urandom(8).hex()}: another build.\n")
    return subprocess.run(
        [stack.directory / ".venv/bin/python", "-c", script],
        cwd=stack.directory,
        env=stack.environment | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_index_reaches_the_build_and_no_password_stays(tmp_path: Path, index: Index) -> None:
    with new_stack(tmp_path) as stack:
        image = f"{stack.name}-api:latest"
        address = f"http://{USER}:{PASSWORD}@127.0.0.1:{index.port}/simple/"
        done = built(stack, PIP_INDEX_URL=address, UV_DEFAULT_INDEX="", NO_PROXY="127.0.0.1")
        assert done.returncode == 0, done.stderr
        history = stack.docker("history", "--no-trunc", image).stdout
        inspected = stack.docker("image", "inspect", image).stdout
        find = ["grep", "-rlF", PASSWORD, "/venv", "/app", "/etc", "/root", "/home", "/var", "/run"]
        grep = stack.docker("run", "--rm", "--user=0", "--entrypoint=", image, *find)
        # The layers too, whatever a later one hides.
        saved = tmp_path / "image.tar"
        assert stack.docker("save", "--output", str(saved), image).returncode == 0

    assert {"/simple/quart/", "/simple/asyncpg/"} <= set(index.asked)
    assert PASSWORD not in history
    assert PASSWORD not in inspected
    assert grep.stdout == ""
    assert PASSWORD.encode() not in saved.read_bytes()


def test_a_build_that_fails_says_why_and_keeps_the_password(tmp_path: Path, index: Index) -> None:
    with new_stack(tmp_path) as stack:
        address = f"http://{USER}:wrong-s3cret@127.0.0.1:{index.port}/simple/"
        done = built(stack, PIP_INDEX_URL=address, UV_DEFAULT_INDEX="")

    assert done.returncode != 0
    assert "The build of the image failed." in done.stderr
    assert "401" in done.stderr
    assert "wrong-s3cret" not in done.stderr


def test_a_proxy_reaches_the_build(tmp_path: Path) -> None:
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            asked.append(self.path)
            self.send_error(403)

        def log_message(self, *_arguments: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server, new_stack(tmp_path) as stack:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://me:s3cret@127.0.0.1:{server.server_port}"
        done = built(stack, HTTPS_PROXY=address, PIP_RETRIES="0", NO_PROXY="", no_proxy="")
        server.shutdown()

    assert done.returncode != 0
    assert asked, done.stderr
    assert "s3cret" not in done.stderr
