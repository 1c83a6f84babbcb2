"""The message after the start of the stack."""

import shlex

from ops.console import just
from ops.local import front
from service.settings import Settings


def show(url: str, settings: Settings, note: str = "") -> None:
    """Print the URL, two working curl commands, how to stop, and the note."""
    key = settings.secure_api_key
    # The key may be any text, so it is quoted for the shell.
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
        print(f"  From other machines: {other}, or any address of this machine.\n")
    if note:
        print(f"  {note}\n")
