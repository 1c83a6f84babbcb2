"""What a person reads when the stack is up."""

import shlex

from ops.console import just
from ops.local import front
from service.settings import Settings


def show(url: str, settings: Settings, note: str = "") -> None:
    """Print where the service is, two calls that work as printed, how to stop, and the note."""
    key = settings.secure_api_key
    # The service takes any text as a key; quoting it keeps the line one that works as printed.
    header = f" -H {shlex.quote('Authorization: Bearer ' + key.get_secret_value())}" if key else ""
    record = shlex.quote('{"name": "Ada", "email": "ada@example.org"}')
    # Brackets of an IPv6 address are patterns for some shells.
    resource = shlex.quote(f"{url}/foss")
    print(f"""
  The service runs at {url}, and {url}/docs is a page to try it

  Create a record:   curl -X POST {resource}{header} -H 'Content-Type: application/json' -d {record}
  List the records:  curl {resource}{header}

  Logs: `{just("logs")}`  Processes: `{just("ps")}`  SQL: `{just("psql")}`  Stop: `{just("down")}`
""")
    if url == front.url(settings) and (other := front.elsewhere(settings)):
        print(f"  Other machines reach it at {other}, or at any address of this one.\n")
    if note:
        print(f"  {note}\n")
