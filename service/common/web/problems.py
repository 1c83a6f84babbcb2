"""Problem details (RFC 9457), for clients whose `Accept` prefers them to the envelope."""

from typing import Any
from urllib.parse import quote

from quart import request
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from service.common.contract import JSON, PROBLEM, TYPES
from service.common.errors import JSONException
from service.common.web.prefix import public_path


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
