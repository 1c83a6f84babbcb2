"""Problem details (RFC 9457), for clients whose `Accept` prefers them to the envelope."""

from itertools import groupby
from operator import attrgetter
from typing import Any
from urllib.parse import quote

from quart import request
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from service.common.contract import BEFORE_THE_APPLICATION, JSON, Document, json_content
from service.common.errors import JSONException, error_rows, rows_by_type
from service.common.web import App, public_path

PROBLEM = "application/problem+json"
# The page that lists the types of errors, each at its name: see service/docs/.
TYPES = "/docs/errors#"


def register(app: App) -> None:
    """Answer an error with problem details if the client prefers them."""
    envelope = app.error_body

    def problem_or_envelope(
        exception: JSONException, facts: dict[str, Any]
    ) -> tuple[dict[str, Any], str]:
        return (problem_of if prefers_problem() else envelope)(exception, facts)

    app.error_body = problem_or_envelope
    app.contract_additions.append(describe)


def prefers_problem() -> bool:
    """Return whether the client prefers problem details (RFC 9110, section 12.5.1)."""
    # Several field lines are one list (section 5.3).
    text = ", ".join(request.headers.getlist("Accept"))
    if PROBLEM not in text.lower():
        return False
    accepted = parse_accept_header(text, MIMEAccept)
    return accepted.quality(PROBLEM) > accepted.quality(JSON)


def problem_of(exception: JSONException, facts: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the same facts as problem details, and their media type."""
    # The raw path, with characters escaped that no URL may contain.
    instance = quote(request.scope["raw_path"], safe="/%~:@!$&'()*+,;=")
    problem = {
        "type": f"{public_path(TYPES)}{facts['type']}",
        "title": exception.title(),
        "status": facts["code"],
        "detail": str(exception),
        "instance": public_path(instance) if instance.startswith("/") else instance,
    }
    shared = {name: facts[name] for name in ("errors", "request_id") if name in facts}
    return problem | shared, PROBLEM


def describe(document: Document) -> None:
    """Add problem details to the errors in the contract."""
    components = document["components"]
    pattern = f"^{TYPES}({'|'.join(rows_by_type())})$"
    components["schemas"]["Problem"]["properties"]["type"]["pattern"] = pattern
    rows = groupby((row for row in error_rows() if row.response), attrgetter("response"))
    for name, [row, *_] in rows:
        if row.status in BEFORE_THE_APPLICATION:
            continue
        response = components["responses"][name]
        facts = response["content"][JSON]["example"]["error"]
        example = {
            "type": f"{TYPES}{row.type}",
            "title": row.title,
            "status": row.status,
            "detail": row.when,
            "instance": "/foss",
            "request_id": facts["request_id"],
        }
        response["content"][PROBLEM] = json_content("Problem")[JSON] | {"example": example}
