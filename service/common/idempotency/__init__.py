"""Answers that are kept, so that a request can be repeated without being done twice."""

from service.common.idempotency.backend import delete_expired
from service.common.idempotency.payloads import IdempotencyKeyHeader

__all__ = ["IdempotencyKeyHeader", "delete_expired"]
