"""Hooks of one file each, some of them removable features (CORS, guard, problem details).

Hooks that `App` relies on are in `web/`; those of larger features are in their packages.
"""

from service.common.middleware.content_type import more_media_types
from service.common.middleware.unit_of_work import (
    health,
    reader,
    session,
    single_write,
    use_bulk_session,
)

__all__ = ["health", "more_media_types", "reader", "session", "single_write", "use_bulk_session"]
