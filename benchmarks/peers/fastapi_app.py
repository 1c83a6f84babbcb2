"""FastAPI with SQLAlchemy asyncio, as in its tutorial on SQL databases, on uvicorn."""

import os
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Query, Response
from pydantic import BaseModel, ConfigDict, EmailStr, StringConstraints
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from benchmarks.peers.tables import Foss

engine = create_async_engine(os.environ["DATABASE_URL"], pool_size=10, max_overflow=0)
sessions = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()

Name = Annotated[str, StringConstraints(min_length=2, max_length=200)]


class CreateFoss(BaseModel):
    """A new Foss."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    email: EmailStr


class UpdateFoss(BaseModel):
    """The fields that change."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    email: EmailStr | None = None


class FossPublic(BaseModel):
    """A Foss as it is answered."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    email: str
    created_at: datetime
    updated_at: datetime


async def get_session() -> AsyncIterator[AsyncSession]:
    """Yield a session for a request."""
    async with sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]


@app.post("/foss", status_code=201, response_model=FossPublic)
async def create_foss(payload: CreateFoss, session: Session, response: Response) -> Foss:
    """Store a new Foss."""
    foss = Foss(**payload.model_dump())
    session.add(foss)
    await session.commit()
    response.headers["Location"] = f"/foss/{foss.id}"
    return foss


@app.get("/foss", response_model=list[FossPublic])
async def list_foss(
    session: Session, limit: Annotated[int, Query(ge=1, le=200)] = 50, after: int = 0
) -> list[Foss]:
    """Return a page."""
    statement = select(Foss).where(Foss.id > after).order_by(Foss.id).limit(limit)
    return list(await session.scalars(statement))


@app.get("/foss/{id}", response_model=FossPublic)
async def get_foss(id: int, session: Session) -> Foss:
    """Return one Foss."""
    foss = await session.get(Foss, id)
    if foss is None:
        raise HTTPException(404)
    return foss


@app.put("/foss/{id}", response_model=FossPublic)
async def update_foss(id: int, payload: UpdateFoss, session: Session) -> Foss:
    """Change one Foss."""
    foss = await session.get(Foss, id)
    if foss is None:
        raise HTTPException(404)
    for name, value in payload.model_dump(exclude_unset=True).items():
        setattr(foss, name, value)
    await session.commit()
    await session.refresh(foss)
    return foss
