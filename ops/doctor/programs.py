"""Checks of the programs that the stack uses: Docker and nginx."""

from pathlib import Path
from tempfile import TemporaryDirectory

from ops import ports
from ops.console import just
from ops.containers import engine
from ops.containers.engine import NoEngineError
from ops.doctor.checking import Finding, NothingToCheckError, Outcome
from ops.doctor.subject import Place, Subject, was_in_containers
from ops.local import nginx, programs


def check_docker(_subject: Subject) -> Outcome:
    """Check that the engine answers this user, and that compose is new enough."""
    if not engine.is_installed():
        return f"it is not installed; `{just('up')}` starts local processes"
    try:
        engine.containers()
    except NoEngineError:
        if was_in_containers():
            raise
        return f"no engine runs, which only containers need; `{just('up')}` starts local processes"
    version = engine.ask("docker", "version", "--format", "{{.Server.Version}}").strip()
    return f"engine {version}, compose {engine.require_compose()}"


def check_nginx(subject: Subject) -> Outcome:
    """Check that nginx is new enough, and accepts the configuration of these settings."""
    if subject.place is Place.CONTAINERS:
        raise NothingToCheckError("the containers have their own")
    if nginx.executable() is None:
        return "it is not installed; the stack runs without, as docs/operate.md explains"
    try:
        found = nginx.find()
        with TemporaryDirectory() as folder:
            # On a port of its own, so that a taken one is not its fault.
            front = [f"127.0.0.1:{ports.find_free()}"]
            nginx.prepare(subject.settings, Path(folder), front, "127.0.0.1:1")
    except nginx.UnusableError as error:
        return [Finding(str(error), programs.WITHOUT_NGINX)]
    return f"{found}, {found.path}"
