"""Hooks that belong to no feature, one per file."""

from service.common.middleware.content_type import more_media_types
from service.common.middleware.unit_of_work import (
    health,
    reader,
    session,
    single_write,
    use_bulk_session,
)

__all__ = ["health", "more_media_types", "reader", "session", "single_write", "use_bulk_session"]
