"""The header that names a request."""

from pydantic import Field

from service.common.contract import Payload


class IdempotencyKeyHeader(Payload, schema="common/idempotency_key.json"):
    """A name for a request; a hook keeps the answer under it."""

    idempotency_key: str | None = Field(None, alias="Idempotency-Key")
