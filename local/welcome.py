"""What a person reads when the stack is up."""

import shlex

from local.console import just
from service.settings import Settings


def show(url: str, settings: Settings) -> None:
    """Print where the service is, two calls that work as printed, and how to stop."""
    key = settings.secure_api_key
    # The service takes any text as a key; quoting it keeps the line one that works as printed.
    header = f" -H {shlex.quote('Authorization: Bearer ' + key.get_secret_value())}" if key else ""
    record = shlex.quote('{"name": "Ada", "email": "ada@example.org"}')
    print(f"""
  The service runs at {url}, and {url}/docs is a page to try it

  Create a record:   curl -X POST {url}/foss{header} -H 'Content-Type: application/json' -d {record}
  List the records:  curl {url}/foss{header}

  Logs: `{just("logs")}`  Processes: `{just("ps")}`  SQL: `{just("psql")}`  Stop: `{just("down")}`
""")
    if url.rpartition(":")[2] != str(settings.http_port):
        print(f"  It ran already: HTTP_PORT={settings.http_port} counts after `{just('down')}`.\n")
