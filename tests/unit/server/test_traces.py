"""What is logged if traces can't be sent."""

import logging
import threading
from functools import partial

import pytest
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from service.logs import configure_logs
from service.server import traces
from service.server.traces import LOST, LostSpans, flush
from service.settings import Settings

FAILED = logging.makeLogRecord({"levelno": logging.ERROR, "msg": "refused\ntwice"})


@pytest.fixture(autouse=True)
def logs() -> None:
    """Log to the standard output of the test."""
    configure_logs(Settings())


def test_the_reason_is_logged_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = LostSpans()
    lost.emit(logging.makeLogRecord({"levelno": logging.INFO, "msg": "all is well"}))
    for moment in (1000, 1001, 1059, 1060.5, 1061):
        monkeypatch.setattr(traces, "monotonic", partial(float, moment))
        lost.emit(FAILED)
    lines = capsys.readouterr().out.splitlines()

    assert len(lines) == 2
    assert all(LOST in line and "cause=refused" in line for line in lines)


def test_a_receiver_that_never_answers_does_not_delay_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answered = threading.Event()

    class Silent(SpanProcessor):
        def shutdown(self) -> None:
            answered.wait()

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Silent())
    flush(provider, 0.01)
    answered.set()

    assert "the last were not sent within 0.01 s" in capsys.readouterr().out
