"""Litestar with its SQLAlchemy plugin and msgspec, on granian."""

import os
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Litestar, Response, get, post, put
from litestar.exceptions import NotFoundException
from litestar.params import Parameter
from litestar.plugins.sqlalchemy import (
    AsyncSessionConfig,
    EngineConfig,
    SQLAlchemyAsyncConfig,
    SQLAlchemyInitPlugin,
)
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.peers.tables import Foss

Name = Annotated[str, msgspec.Meta(min_length=2, max_length=200)]
Email = Annotated[
    str, msgspec.Meta(min_length=3, max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
]


class CreateFoss(msgspec.Struct, forbid_unknown_fields=True):
    """A new Foss."""

    name: Name
    email: Email


class UpdateFoss(msgspec.Struct, forbid_unknown_fields=True):
    """The fields that change."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    email: Email | msgspec.UnsetType = msgspec.UNSET


class FossPublic(msgspec.Struct):
    """A Foss as it is answered."""

    id: int
    name: str
    email: str
    created_at: datetime
    updated_at: datetime


def public(foss: Foss) -> FossPublic:
    """Return what clients see of a record."""
    return FossPublic(foss.id, foss.name, foss.email, foss.created_at, foss.updated_at)


@post("/foss")
async def create_foss(data: CreateFoss, db_session: AsyncSession) -> Response[FossPublic]:
    """Store a new Foss."""
    foss = Foss(name=data.name, email=data.email)
    db_session.add(foss)
    await db_session.commit()
    return Response(public(foss), headers={"Location": f"/foss/{foss.id}"})


@get("/foss")
async def list_foss(
    db_session: AsyncSession,
    limit: Annotated[int, Parameter(ge=1, le=200)] = 50,
    after: int = 0,
) -> list[FossPublic]:
    """Return a page."""
    statement = select(Foss).where(Foss.id > after).order_by(Foss.id).limit(limit)
    return [public(foss) for foss in await db_session.scalars(statement)]


@get("/foss/{id:int}")
async def get_foss(id: int, db_session: AsyncSession) -> FossPublic:
    """Return one Foss."""
    foss = await db_session.get(Foss, id)
    if foss is None:
        raise NotFoundException
    return public(foss)


@put("/foss/{id:int}")
async def update_foss(id: int, data: UpdateFoss, db_session: AsyncSession) -> FossPublic:
    """Change one Foss."""
    foss = await db_session.get(Foss, id)
    if foss is None:
        raise NotFoundException
    if data.name is not msgspec.UNSET:
        foss.name = data.name
    if data.email is not msgspec.UNSET:
        foss.email = data.email
    await db_session.commit()
    await db_session.refresh(foss)
    return public(foss)


config = SQLAlchemyAsyncConfig(
    connection_string=os.environ["DATABASE_URL"],
    engine_config=EngineConfig(pool_size=10, max_overflow=0),
    session_config=AsyncSessionConfig(expire_on_commit=False),
)
app = Litestar(
    [create_foss, list_foss, get_foss, update_foss], plugins=[SQLAlchemyInitPlugin(config)]
)
