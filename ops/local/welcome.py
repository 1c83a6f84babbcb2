"""The message after the start of the stack."""

import json
import shlex

from ops import api
from ops.console import CommandError, just
from ops.local import front
from service.settings import Settings


def show(url: str, settings: Settings, note: str = "") -> None:
    """Print the URL, two curl commands for the first collection, how to stop, and the note."""
    key = settings.secure_api_key
    # The key may be any text, so it is quoted for the shell.
    header = f" -H {shlex.quote('Authorization: Bearer ' + key.get_secret_value())}" if key else ""
    try:
        with api.connect(url) as client:
            collections = api.collections(client)
    except CommandError as error:
        # The stack runs: what follows is still useful.
        collections, note = {}, f"{note}\n  {error}".strip()
    print(f"\n  The service runs at {url}, and {url}/docs is a page to try it\n")
    for path, example in [*collections.items()][:1]:
        record = shlex.quote(json.dumps(example, ensure_ascii=False))
        # Brackets of an IPv6 address are patterns for some shells.
        resource = shlex.quote(f"{url}{path}")
        json_type = "-H 'Content-Type: application/json'"
        print(f"  Create a record:   curl -X POST {resource}{header} {json_type} -d {record}")
        print(f"  List the records:  curl {resource}{header}\n")
    print(
        f"  Logs: `{just('logs')}`  Processes: `{just('ps')}`  SQL: `{just('psql')}`"
        f"  Stop: `{just('down')}`\n"
    )
    if url == front.url(settings) and (other := front.elsewhere(settings)):
        print(f"  From other machines: {other}, or any address of this machine.\n")
    if note:
        print(f"  {note}\n")
