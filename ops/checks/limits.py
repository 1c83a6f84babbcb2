"""docs/limits.md, generated from service/limits.py."""

from ops.console import CommandError, just
from service.limits import Limit, limits
from service.settings import ROOT, Settings

PAGE = ROOT / "docs" / "limits.md"
HEAD = """\
# Limits

What a client may send or cause, what happens beyond it, and why. `./just fix` generates this page
from [service/limits.py](../service/limits.py). A test checks each limit at its value and one
beyond. The value of a setting is its default: see [operate.md](operate.md#settings). The limits of
a field, such as the length of a name, are in the contract, [openapi.json](openapi.json).

nginx has limits of its own, which apply first. It waits 5 seconds for a
head, 30 seconds for progress of a response, and for a body longer than the service does: see
[nginx.conf.template](../nginx/nginx.conf.template). Its buffers for a head are the default: a line
of at most 8 KiB, and 32 KiB of long lines. It has 16,384 connections to clients and to the service
together, or half of the open files that the system allows it if that is less; if all are in use, it
resets new ones. One client can use all of them: see [deploy.md](deploy.md#floods-of-connections).

| limit | value | setting | beyond it | reason |
| --- | --- | --- | --- | --- |
"""


def page() -> str:
    """Return the content of the page."""
    return HEAD + "".join(_row(name, limit) for name, limit in limits().items())


def _row(name: str, limit: Limit) -> str:
    setting = f"`{limit.setting}`" if limit.setting else ""
    cells = [f"`{name}`", f"{limit.value:,} {limit.unit}", setting, limit.beyond, limit.reason]
    return f"| {' | '.join(cells)} |\n"


def write(_settings: Settings, _arguments: list[str]) -> int:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    return 0


def check(_settings: Settings, _arguments: list[str]) -> int:
    """Raise CommandError if the page is stale."""
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        raise CommandError(f"docs/limits.md is stale: run `{just('fix')}`.")
    return 0
