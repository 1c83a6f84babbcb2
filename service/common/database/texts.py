"""Statements as SQL: a tree of expressions and its compiled form are thousands of objects.

Clients choose fields, orders and filters, and so how many distinct statements there are. What is
cached of them stays in memory, and the garbage collector traverses it while all requests wait.
"""

import re
from functools import lru_cache
from typing import Any

from sqlalchemy import BindParameter, ColumnClause, Select, TextualSelect, bindparam, column, text
from sqlalchemy.dialects.postgresql.base import PGDialect

# The sizes of caches whose keys clients choose: of SQL and small values, and of trees.
SHAPES = 100
TREES = 10
# In this style, only a parameter has a single percent sign.
PYFORMAT = PGDialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]
SPECIAL = re.compile(r"%\((\w+)\)s|%%|:")


def as_text(statement: Select[*tuple[Any, ...]]) -> TextualSelect:
    """Return a statement as SQL, with the same parameters and columns.

    Raises RuntimeError if two parameters with one name differ in their types.
    """
    compiled: Any = statement.compile(dialect=PYFORMAT)
    types: dict[str, type] = {}
    for one, name in compiled.bind_names.items():
        if types.setdefault(name, type(one.type)) is not type(one.type):
            raise RuntimeError(f"The parameter `{name}` has two types.")
    sql = text(SPECIAL.sub(_in_text, compiled.string))
    parameters = [
        _parameter(name, one.type)
        if one.required
        else bindparam(name, one.value, one.type, required=False)
        for one, name in compiled.bind_names.items()
    ]
    # By position: the result has the names of the statement.
    columns = [_column(at, one.type) for at, one in enumerate(statement.selected_columns)]
    return sql.bindparams(*parameters).columns(*columns)


# The statements share them.
@lru_cache(4 * SHAPES)
def _parameter(name: str, type_: Any) -> BindParameter[Any]:
    return bindparam(name, type_=type_)


@lru_cache(4 * SHAPES)
def _column(at: int, type_: Any) -> ColumnClause[Any]:
    return column(str(at), type_)


def _in_text(found: re.Match[str]) -> str:
    return f":{found[1]}" if found[1] else {"%%": "%", ":": r"\:"}[found[0]]
