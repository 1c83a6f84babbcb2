"""nginx in front of the service, where it is installed."""

import os
import re
import shutil
from pathlib import Path

from service.settings import ROOT, Settings

TEMPLATE = ROOT / "nginx" / "nginx.conf.template"
# What a body may be longer than the service's limit before nginx refuses it by itself.
MARGIN_BYTES = 1 << 20


def executable() -> str | None:
    """Return the path of nginx, or None where it is not on the PATH."""
    return shutil.which("nginx")


def write_configuration(settings: Settings, state: Path, service: str) -> Path:
    """Render the template for this stack and return the file."""
    values = {
        "NGINX_LISTEN": f"127.0.0.1:{settings.http_port}",
        "NGINX_MAX_BODY_BYTES": str(settings.max_body_bytes + MARGIN_BYTES),
        "NGINX_STATE": str(state / "nginx"),
        "NGINX_UPSTREAM": f"server {service};",
    }
    path = state / "nginx.conf"
    (state / "nginx").mkdir(exist_ok=True)
    # nginx's own variables are in lower case and have no braces, so they stay as they are.
    text = re.sub(r"\$\{([A-Z_]+)\}", lambda found: values[found[1]], TEMPLATE.read_text("utf-8"))
    path.write_text(text, encoding="utf-8")
    return path


def command(configuration: Path) -> list[str]:
    """Return the command that runs nginx in the foreground."""
    state = configuration.parent
    directives = f'daemon off; pid "{state}/nginx.pid";'
    if os.getuid() == 0:
        # The state directory may lie in root's home, where no other user can enter.
        directives += " user root;"
    return [executable() or "nginx", "-e", "stderr", "-c", str(configuration), "-g", directives]
