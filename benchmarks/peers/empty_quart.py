"""The empty Quart application: what Quart and hypercorn take before anybody has written a line."""

from quart import Quart

app = Quart(__name__)


@app.get("/livez")
async def livez() -> dict[str, str]:
    """Return whether the process answers at all."""
    return {"status": "alive"}
