"""Flask with SQLAlchemy and psycopg, in current versions, on gunicorn's threads."""

import os
from datetime import UTC, datetime
from typing import Any

from flask import Flask, abort, request
from flask.typing import ResponseReturnValue
from jsonschema import Draft202012Validator
from sqlalchemy import create_engine, select
from sqlalchemy.orm import scoped_session, sessionmaker

from benchmarks.peers.tables import Foss

engine = create_engine(os.environ["DATABASE_URL"], pool_size=10, max_overflow=0)
session = scoped_session(sessionmaker(engine, expire_on_commit=False))
app = Flask(__name__)
app.json.sort_keys = False  # type: ignore[attr-defined]  # Of the default provider.

NAME = {"type": "string", "minLength": 2, "maxLength": 200}
EMAIL = {"type": "string", "format": "email", "minLength": 3, "maxLength": 254}
PROPERTIES = {"name": NAME, "email": EMAIL}
CREATE = Draft202012Validator(
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "email"],
        "properties": PROPERTIES,
    },
    format_checker=Draft202012Validator.FORMAT_CHECKER,
)
UPDATE = Draft202012Validator(
    {"type": "object", "additionalProperties": False, "properties": PROPERTIES},
    format_checker=Draft202012Validator.FORMAT_CHECKER,
)


@app.teardown_appcontext
def remove_session(error: BaseException | None) -> None:
    """Give the connection back."""
    del error
    session.remove()


def instant(moment: datetime) -> str:
    """Return a datetime as the service writes it."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def public(foss: Foss) -> dict[str, Any]:
    """Return what clients see of a record."""
    return {
        "id": foss.id,
        "name": foss.name,
        "email": foss.email,
        "created_at": instant(foss.created_at),
        "updated_at": instant(foss.updated_at),
    }


def payload(validator: Draft202012Validator) -> dict[str, str]:
    """Return the checked body."""
    value = request.get_json()
    if not validator.is_valid(value):
        abort(422)
    found: dict[str, str] = value
    return found


@app.post("/foss")
def create_foss() -> ResponseReturnValue:
    """Store a new Foss."""
    foss = Foss(**payload(CREATE))
    session.add(foss)
    session.commit()
    return public(foss), 201, {"Location": f"/foss/{foss.id}"}


@app.get("/foss")
def list_foss() -> ResponseReturnValue:
    """Return a page."""
    limit = min(request.args.get("limit", 50, int), 200)
    after = request.args.get("after", 0, int)
    statement = select(Foss).where(Foss.id > after).order_by(Foss.id).limit(limit)
    return [public(foss) for foss in session.scalars(statement)]


@app.get("/foss/<int:id>")
def get_foss(id: int) -> ResponseReturnValue:
    """Return one Foss."""
    return public(_find(id))


@app.put("/foss/<int:id>")
def update_foss(id: int) -> ResponseReturnValue:
    """Change one Foss."""
    foss = _find(id)
    for name, value in payload(UPDATE).items():
        setattr(foss, name, value)
    session.commit()
    session.refresh(foss)
    return public(foss)


def _find(id: int) -> Foss:
    foss = session.get(Foss, id)
    if foss is None:
        abort(404)
    return foss
