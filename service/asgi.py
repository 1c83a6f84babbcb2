"""The application for any ASGI server: `hypercorn service.asgi:app`."""

from service import create_app
from service.logs import configure_logs
from service.settings import load_settings

settings = load_settings()
configure_logs(settings)
app = create_app(settings)
