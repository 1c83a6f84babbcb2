"""The table of the answers that are kept."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Index, LargeBinary, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from service.common.database import Base


class IdempotencyKey(Base):
    """A key that a client gave to a request, and the answer that it got."""

    # As earlier releases named it: theirs run beside this one while it is deployed.
    __tablename__ = "idempotencykey"
    __table_args__ = (Index(None, "created_at"),)

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int] = mapped_column(BigInteger)
    headers: Mapped[dict[str, str]] = mapped_column(JSONB)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
