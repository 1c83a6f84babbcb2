"""The id of a request: the client's own where it is well-formed, else a new one."""

import re
from secrets import token_hex

WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}")


def choose_request_id(inbound: str) -> str:
    """Return the id for a request whose `X-Request-ID` is `inbound`."""
    return inbound if inbound and WELL_FORMED.fullmatch(inbound) else token_hex(16)
