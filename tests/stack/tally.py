"""The responses to the requests of a load, and whether each error follows the contract."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from time import monotonic

from service.common.contract.validation import load_schemas
from tests.stack.connection import Answer

SAFE = {"GET", "HEAD"}


@dataclass
class Tally:
    """Counts of one load; the times are those of `time.monotonic`."""

    started: float = field(default_factory=monotonic)
    ended: float = 0.0
    requests: int = 0
    acknowledged: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    failed_safe: int = 0
    wrong_answers: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)
    successes: list[float] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """How many requests had no answer, or another one than they should have had."""
        return self.failures.total()

    @property
    def refused(self) -> dict[int, int]:
        """How many requests were refused, by status; those that had to be are among them."""
        return {status: n for status, n in sorted(self.statuses.items()) if status >= 400}

    @property
    def longest_gap(self) -> float:
        """Seconds without a single success."""
        times = [self.started, *self.successes, self.ended or monotonic()]
        return max(after - before for before, after in pairwise(times))

    def first_success_after(self, moment: float) -> float | None:
        """Return when a request first succeeded after a moment; None: not yet."""
        return next((time for time in self.successes if time > moment), None)

    def fail(self, method: str, reason: str, request_id: str, body: bytes = b"") -> None:
        """Count a request that failed."""
        self.failures[f"{method} {reason}"] += 1
        self.failed_safe += method in SAFE
        if len(self.samples) < 20:
            after = monotonic() - self.started
            text = body[:200].decode(errors="replace")
            self.samples.append(f"{request_id}: {method} {reason} after {after:.1f} s {text}")

    def count(self, method: str, answer: Answer, expected: int, request_id: str) -> None:
        """Count an answer."""
        self.statuses[answer.status] += 1
        if answer.status < 300:
            self.successes.append(monotonic())
            self.acknowledged += method not in SAFE
        elif fault := envelope_fault(method, answer):
            self.violations.append(f"{request_id}: {method} {answer.status}: {fault}")
        if answer.status != expected:
            self.fail(method, str(answer.status), request_id, answer.body)


def envelope_fault(method: str, answer: Answer) -> str | None:
    """Return what the contract forbids in a refusal; None: it is as it must be."""
    headers, body = answer.headers, answer.json()
    if answer.status == 503 and not headers.get("retry-after", "").isdigit():
        return "no Retry-After"
    if method == "HEAD":
        return None
    if headers.get("content-type") != "application/json":
        return f"Content-Type {headers.get('content-type')}"
    if faults := load_schemas()["common/error.json"].faults(body):
        return f"no envelope: {faults[0]}"
    facts = body["error"]["code"], body["error"]["request_id"]
    if facts != (answer.status, headers.get("x-request-id")):
        return f"code and request id {facts}"
    return None
