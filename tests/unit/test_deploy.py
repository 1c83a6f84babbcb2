"""What a deployment that fails, or is interrupted, does with its new replica."""

import pytest

from ops.console import CommandError
from ops.containers import compose, deploy, upstream

OLD, NEW = "old", "new"


class Engine:
    """Containers, and the calls that change them or what nginx sends to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.containers = [OLD]
        self.calls: list[tuple[str, ...]] = []
        monkeypatch.setattr(deploy, "_all_replicas", lambda: [*self.containers])
        monkeypatch.setattr(deploy, "replicas", lambda: [*self.containers])
        monkeypatch.setattr(deploy, "_scale", lambda _: self.containers.append(NEW))
        monkeypatch.setattr(deploy, "_wait_until_healthy", self.wait)
        monkeypatch.setattr(compose, "docker", lambda *call: self.calls.append(call))
        monkeypatch.setattr(upstream, "send_to", self.send_to)
        self.is_healthy = True
        self.is_interrupted = False

    def wait(self, _: str) -> None:
        if not self.is_healthy:
            raise CommandError("not ready")

    def send_to(self, names: list[str]) -> None:
        self.calls.append(("send to", *names))
        if self.is_interrupted:
            raise KeyboardInterrupt


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    return Engine(monkeypatch)


def test_nginx_sends_to_the_new_replica_before_the_old_one_stops(engine: Engine) -> None:
    vars(deploy)["_replace"](OLD)

    assert engine.calls == [("send to", NEW), ("stop", OLD), ("rm", OLD)]


def test_a_new_replica_that_does_not_become_ready_is_removed(engine: Engine) -> None:
    engine.is_healthy = False
    with pytest.raises(CommandError):
        vars(deploy)["_replace"](OLD)

    assert engine.calls == [("rm", "--force", NEW)]


def test_a_replica_that_nginx_may_send_to_is_not_removed(engine: Engine) -> None:
    engine.is_interrupted = True
    with pytest.raises(KeyboardInterrupt):
        vars(deploy)["_replace"](OLD)

    assert engine.calls == [("send to", NEW)]
