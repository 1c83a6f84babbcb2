"""The statements of a case-insensitive search for a part of a text.

There are two plans for a page. `read_in_order` reads records in the order of the page: cheap if
there are many matches. `use_index` sorts what the trigram index finds: cheap if there are few.
PostgreSQL can't estimate which is cheaper, so the subqueries leave it no choice.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    LargeBinary,
    Select,
    Subquery,
    Text,
    TextualSelect,
    and_,
    bindparam,
    func,
    literal_column,
    null,
    or_,
    select,
    union_all,
)

from service.common.database import SHAPES, Base, Session, as_text, execute_deferred
from service.common.resource import (
    Columns,
    Nulls,
    Order,
    Start,
    beyond,
    equals,
    order_by,
    record_json,
    start_nulls,
    start_parameters,
    start_values,
    utf8,
)
from service.common.search.weights import Search, pattern

# The number of matches to return.
WANTED = bindparam("wanted", type_=BigInteger)


@dataclass(frozen=True, slots=True)
class Target:
    """The target of a search: a table, the columns to search, and those filtered by equality.

    `order` is the order to read in; `fields` and `include` are the fields and the included records
    to return.
    """

    model: type[Base]
    names: tuple[str, ...]
    equal: tuple[str, ...]
    order: Order
    fields: tuple[str, ...]
    include: tuple[str, ...]


class Plans:
    """Both plans for a search."""

    def __init__(
        self, session: Session, target: Target, part: str, equal: Mapping[str, Any]
    ) -> None:
        self.session, self._target = session, target
        self._values = {f"equal_{name}": value for name, value in equal.items()}
        self._values["q"] = pattern([part])

    async def read_in_order(self, start: Start, step: int, wanted: int) -> Sequence[Any]:
        """Read the `step` records after `start`, in order, and return up to `wanted` matches.

        If there are fewer, and more may follow, a last row whose `json` is NULL has the keys to
        start from.
        """
        build = partial(_step_statement, self._target, step, start_nulls(start))
        return await self._rows(build, step, start_values(start), wanted)

    async def use_index(self, search: Search, start: Start, wanted: int) -> Sequence[Any]:
        """Find all matches after `start`, and return the first `wanted`."""
        form = (search.uses_index, search.is_exact)
        build = partial(_index_statement, self._target, form, start_nulls(start))
        values = {**start_values(start), **search.patterns}
        return await self._rows(build, form, values, wanted)

    async def _rows(
        self,
        build: Callable[[], TextualSelect],
        form: Hashable,
        values: Mapping[str, Any],
        wanted: int,
    ) -> Sequence[Any]:
        values = {**self._values, **values, "wanted": wanted}
        # Other fields and orders cost about the same.
        kind = self._target.model, form
        found = await execute_deferred(self.session, build, kind, values)
        rows: Sequence[Any] = found.all()
        return rows


# Cached, because building a statement takes longer than a look-up.
@lru_cache(SHAPES)
def _step_statement(target: Target, step: int, nulls: Nulls) -> TextualSelect:
    order = target.order
    found, rest = _matches_of_step(target, step, nulls)
    rows = union_all(_records(found.c, target), rest).subquery("rows")
    return as_text(select(rows).order_by(*order_by(rows.c, order), rows.c.json.is_(None)))


def _matches_of_step(target: Target, step: int, nulls: Nulls) -> tuple[CTE, Select[Any]]:
    """Return the matches of a step, and a SELECT of the last row, if more may follow."""
    order = target.order
    columns = target.model.__table__.columns
    readable = _readable(target, nulls)
    # Limits are constants: a plan for any number of records would sort all of them.
    walked = (
        readable.order_by(*order_by(columns, order))
        .limit(literal_column(str(step)))
        .subquery("walked")
    )
    found = (
        select(walked)
        .where(_whole(walked.c, target.names))
        .order_by(*order_by(walked.c, order))
        .limit(WANTED)
        .cte("_found")
    )
    # Not from `walked`, which would be materialized to be read twice.
    end = (
        readable.with_only_columns(*_keys(columns, order))
        .order_by(*order_by(columns, order))
        .offset(literal_column(str(step - 1)))
        .limit(literal_column("1"))
        .subquery("end_of_step")
    )
    few = select(func.count()).select_from(found).scalar_subquery() < WANTED
    return found, select(null().cast(LargeBinary).label("json"), *_keys(end.c, order)).where(few)


@lru_cache(SHAPES)
def _index_statement(target: Target, form: tuple[bool, bool], nulls: Nulls) -> TextualSelect:
    first = _first_hits(target, form, nulls)
    return as_text(_records(first.c, target).order_by(*order_by(first.c, target.order)))


def _first_hits(target: Target, form: tuple[bool, bool], nulls: Nulls) -> Subquery:
    """Return the first matches that the index finds, in order."""
    columns = target.model.__table__.columns
    hits = (
        _readable(target, nulls)
        .where(_condition(columns, target.names, form))
        # Planned separately: not optimized for the first rows.
        .offset(literal_column("0"))
        .subquery("hits")
    )
    return select(hits).order_by(*order_by(hits.c, target.order)).limit(WANTED).subquery("first")


def _readable(target: Target, nulls: Nulls) -> Select[Any]:
    """Return all fields of the records after the start of a search, whichever are asked for."""
    columns = target.model.__table__.columns
    keys = [key.name for key in target.order]
    names = dict.fromkeys([*target.model.fields(), *keys, *target.names])
    statement = select(*(columns[name] for name in names))
    for name in target.equal:
        statement = statement.where(equals(target.model, name, bindparam(f"equal_{name}")))
    start = start_parameters(columns, target.order, nulls)
    return statement if start is None else statement.where(beyond(columns, target.order, start))


def _records(columns: Columns, target: Target) -> Select[Any]:
    record = utf8(record_json(target.model, columns, target.fields, target.include)).label("json")
    return select(record, *_keys(columns, target.order))


def _keys(columns: Columns, order: Order) -> list[ColumnElement[Any]]:
    return [columns[key.name] for key in order]


def condition_of(search: Search, columns: Columns) -> ColumnElement[bool]:
    """Return the condition that a record has the text, for the index if that is useful."""
    form = (search.uses_index, search.is_exact)
    return _condition(columns, search.names, form, {**search.patterns, "q": pattern([search.part])})


def _condition(
    columns: Columns,
    names: Sequence[str],
    form: tuple[bool, bool],
    values: Mapping[str, str] | None = None,
) -> ColumnElement[bool]:
    uses_index, is_exact = form
    if not uses_index:
        return _whole(columns, names, values)
    indexed = _any(columns, {name: f"q_{name}" for name in names}, values)
    return indexed if is_exact else and_(indexed, _whole(columns, names, values))


def _whole(
    columns: Columns, names: Sequence[str], values: Mapping[str, str] | None = None
) -> ColumnElement[bool]:
    # `coalesce` prevents the use of an index, and the planner assumes many matches.
    return func.coalesce(_any(columns, dict.fromkeys(names, "q"), values), False)


def _any(
    columns: Columns, patterns: Mapping[str, str], values: Mapping[str, str] | None
) -> ColumnElement[bool]:
    """Return the condition that one of the columns is like its pattern, by the parameter's name."""
    parameters = {
        one: bindparam(one, type_=Text) if values is None else bindparam(one, values[one], Text)
        for one in patterns.values()
    }
    return or_(
        *(columns[name].ilike(parameters[one], escape="/") for name, one in patterns.items())
    )
