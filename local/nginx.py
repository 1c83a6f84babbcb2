"""nginx in front of the service, where it is installed."""

import math
import os
import re
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

from service.common.database import BULK_SECONDS
from service.common.engine import COMMAND_GRACE_SECONDS
from service.settings import ROOT, Settings

TEMPLATE = ROOT / "nginx" / "nginx.conf.template"
# What the template has from where nginx runs.
PLACES = ("NGINX_LISTEN", "NGINX_NEWER", "NGINX_STATE", "NGINX_UPSTREAM")
# What a body may be longer than the service's limit before nginx refuses it by itself.
MARGIN_BYTES = 1 << 20
# What nginx waits longer than the service, so that the service's own 408 and 504 are answered.
MARGIN_SECONDS = 10
# A connection that a client is about to use again outlives a reload.
KEEPALIVE_MINIMUM = (1, 27, 4), "keepalive_min_timeout 10s;"


def executable() -> str | None:
    """Return the path of nginx, or None where it is not on the PATH."""
    return shutil.which("nginx")


def values(settings: Settings) -> dict[str, str]:
    """Return what the template has from the settings, whoever runs nginx."""
    request = settings.request_timeout + settings.database_statement_timeout
    seconds = max(request, BULK_SECONDS) + COMMAND_GRACE_SECONDS
    return {
        "NGINX_CONNECTION_LIMIT": str(settings.connection_limit),
        "NGINX_MAX_BODY_BYTES": str(
            max(settings.max_body_bytes, settings.max_import_bytes) + MARGIN_BYTES
        ),
        "NGINX_ORIGINS": _origins(settings.cors_origins),
        "NGINX_RATE_LIMIT": str(settings.rate_limit),
        "NGINX_TIMEOUT": str(math.ceil(seconds) + MARGIN_SECONDS),
    }


def render(values: dict[str, str]) -> str:
    """Return the configuration, as the image of nginx renders it from its environment."""
    # nginx's own variables are in lower case and have no braces, so they stay as they are.
    return re.sub(r"\$\{([A-Z_]+)\}", lambda found: values[found[1]], TEMPLATE.read_text("utf-8"))


def write_configuration(settings: Settings, state: Path, service: str) -> Path:
    """Render the template for this stack and return the file."""
    path = state / "nginx.conf"
    (state / "nginx").mkdir(exist_ok=True)
    places = {
        "NGINX_LISTEN": f"127.0.0.1:{settings.http_port}",
        "NGINX_NEWER": _newer_directives(),
        "NGINX_STATE": str(state / "nginx"),
        "NGINX_UPSTREAM": f"server {service};",
    }
    path.write_text(render(values(settings) | places), encoding="utf-8")
    return path


def command(configuration: Path) -> list[str]:
    """Return the command that runs nginx in the foreground."""
    state = configuration.parent
    directives = f'daemon off; pid "{state}/nginx.pid";'
    if os.getuid() == 0:
        # The state directory may lie in root's home, where no other user can enter.
        directives += " user root;"
    return [executable() or "nginx", "-e", "stderr", "-c", str(configuration), "-g", directives]


def _origins(origins: Collection[str]) -> str:
    if "*" in origins:
        return 'default "*";'
    return "\n".join(f'"{origin}" $http_origin;' for origin in origins)


def _newer_directives() -> str:
    version, directive = KEEPALIVE_MINIMUM
    asked = subprocess.run(
        [executable() or "nginx", "-v"], capture_output=True, text=True, check=False
    )
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", asked.stderr)
    return directive if found and tuple(map(int, found.groups())) >= version else ""
