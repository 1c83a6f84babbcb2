"""The database: connections, sessions, transactions, and the meaning of its errors."""

from service.common.database.batching import (
    Costed,
    batched,
    batched_write,
    costly,
    execute_deferred,
    hold_costly,
    paging,
    searching,
    shared,
)
from service.common.database.batching.autocommit import (
    SECOND_WRITE,
    Autocommit,
    Session,
    SingleWrite,
)
from service.common.database.connection import COMMAND_GRACE_SECONDS, connect
from service.common.database.database import Database, commit, make_costly, release
from service.common.database.engine import create_engine, database_url
from service.common.database.models import MAX_BIGINT, MAX_INTEGER, Base, RecordColumns
from service.common.database.revisions import OLDEST_SERVER, known_revisions
from service.common.database.sqlstates import (
    CONFLICT,
    READ_ONLY_STATE,
    UNDEFINED_TABLE,
    constraint_of,
    is_stale_plan,
    sqlstate_of,
    table_of,
    translate,
    violates_foreign_key,
)
from service.common.database.statements import measured_copy
from service.common.database.texts import SHAPES, TREES, as_text
from service.common.database.transfers import BYTES_FOR_OTHERS, SlowTransfers, Transfer
from service.common.database.work import Work, pool_sizes
from service.common.database.work_pool import WorkPool

__all__ = [
    "BYTES_FOR_OTHERS",
    "COMMAND_GRACE_SECONDS",
    "CONFLICT",
    "MAX_BIGINT",
    "MAX_INTEGER",
    "OLDEST_SERVER",
    "READ_ONLY_STATE",
    "SECOND_WRITE",
    "SHAPES",
    "TREES",
    "UNDEFINED_TABLE",
    "Autocommit",
    "Base",
    "Costed",
    "Database",
    "RecordColumns",
    "Session",
    "SingleWrite",
    "SlowTransfers",
    "Transfer",
    "Work",
    "WorkPool",
    "as_text",
    "batched",
    "batched_write",
    "commit",
    "connect",
    "constraint_of",
    "costly",
    "create_engine",
    "database_url",
    "execute_deferred",
    "hold_costly",
    "is_stale_plan",
    "known_revisions",
    "make_costly",
    "measured_copy",
    "paging",
    "pool_sizes",
    "release",
    "searching",
    "shared",
    "sqlstate_of",
    "table_of",
    "translate",
    "violates_foreign_key",
]
