"""The header `Idempotency-Key`."""

from pydantic import Field

from service.common.contract import Payload


class IdempotencyKeyHeader(Payload, schema="common/idempotency_key.json"):
    """A key for a request; a hook stores the response under it."""

    idempotency_key: str | None = Field(None, alias="Idempotency-Key")
