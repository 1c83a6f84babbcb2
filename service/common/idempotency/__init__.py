"""Idempotency keys: stored responses, so that a request can be repeated safely."""

from service.common.idempotency.backend import delete_expired
from service.common.idempotency.payloads import IdempotencyKeyHeader

__all__ = ["IdempotencyKeyHeader", "delete_expired"]
