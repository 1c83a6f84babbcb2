"""Two replicas of the service behind nginx, compared with one."""

from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.processes import running
from benchmarks.servers import CONNECTIONS, PORT, Server, ours
from benchmarks.wrk import load
from ops.executables import find_executable

WORK = "read"
WARM_SECONDS = 1
# How many replicas stand behind the nginx of a port.
FRONTS = {PORT + 10: 1, PORT + 11: 2}
REPLICAS = (PORT + 1, PORT + 2)
CONFIGURATION = """
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests 1000000;
    upstream service {{
        {servers}
        keepalive 64;
        keepalive_requests 1000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://service;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""


def measure(url: str, rounds: int, seconds: int) -> list[float] | None:
    """Return the requests a second of one replica and of two, or None where nginx is missing."""
    nginx = find_executable("nginx")
    if nginx is None:
        return None
    rates: dict[int, list[float]] = {port: [] for port in FRONTS}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory()))
        for port in REPLICAS:
            stack.enter_context(running(ours(port), url))
        # All run all the time, in turn with nothing to do: so the rounds need no start.
        fronts = [
            stack.enter_context(running(front(nginx, directory, port), url)) for port in FRONTS
        ]
        for number in range(rounds):
            for server in fronts:
                load(server, WORK, CONNECTIONS, WARM_SECONDS, number)
                rate = load(server, WORK, CONNECTIONS, seconds, number)["rate"]
                rates[server.port].append(rate)
                print(f"replicas, {FRONTS[server.port]}: {rate:.0f}/s", flush=True)
    return [median(found) for found in rates.values()]


def front(nginx: str, directory: Path, port: int) -> Server:
    """Return an nginx before as many replicas as belong to its port."""
    prefix = directory / str(port)
    prefix.mkdir()
    servers = " ".join(f"server 127.0.0.1:{replica};" for replica in REPLICAS[: FRONTS[port]])
    configuration = prefix / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(servers=servers, port=port), encoding="utf-8")
    command = [nginx, "-p", str(prefix), "-c", configuration.name]
    return Server("nginx", command, works=(WORK,), port=port)
