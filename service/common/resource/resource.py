"""A resource: the operations of every collection of records.

A blueprint declares one for its model; plain functions of the blueprint replace what differs.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, cached_property, lru_cache
from typing import Any, Generic, NoReturn, TypeVar, cast

from sqlalchemy import ColumnElement, Select, TextualSelect, delete, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from service.common.database import (
    MAX_BIGINT,
    SHAPES,
    Base,
    Session,
    as_text,
    batched,
    constraint_of,
    costly,
    paging,
    searching,
    shared,
    table_of,
    violates_foreign_key,
)
from service.common.errors import (
    Conflict,
    Fault,
    InvalidAPIRequest,
    PreconditionFailed,
    RecordAlreadyExists,
    RecordNotFound,
    cut,
)
from service.common.resource.batches import any_of, insert_batch, may_share, update_batch
from service.common.resource.changes import change_of, changeable
from service.common.resource.collection import equals, is_costly, record_columns, select_page
from service.common.resource.cursors import Filters
from service.common.resource.entity_tags import Versions, entity_tag
from service.common.resource.fields import select_fields
from service.common.resource.inclusion import references, select_included
from service.common.resource.indexes import unique_columns, unique_together
from service.common.resource.ordering import order_of
from service.common.resource.pages import PART, Page, Selection, read_cursor
from service.common.resource.payloads import ListQuery
from service.common.resource.records import Lock, Record
from service.common.resource.searching import Searching
from service.common.resource.values import to_plain
from service.common.resource.versions import fingerprint, version_conditions

Values = Mapping[str, Any]
M = TypeVar("M", bound=Base)
NO_TRANSACTION = (
    "A rule reads in the transaction that it decides about: ask for `session()` instead of"
    " `reader()` or `single_write()`."
)


class Resource(Generic[M]):
    """The records of a model: their statements and errors.

    `search` finds those that `q` asks for.
    """

    def __init__(self, model: type[M], *, search: Searching | None = None) -> None:
        self.model = model
        self.search = search
        unique, columns = unique_columns(model).values(), model.__table__.columns
        # Those that make an order total, and the unique columns that clients set.
        self.keys = frozenset(name for name in unique if not columns[name].nullable)
        self.unique = tuple(sorted({*unique} - {"id"}))
        self.unique_together = unique_together(model)
        self._name = model.__name__
        # A unique value may conflict with that of another record.
        self._in_batches = changeable(model) - {*self.unique}
        self._update_batch = update_batch(model, self._in_batches)
        self._select_batch = batched(self._select_many)
        self._select_including = batched(self._select_many_including)
        self._find_parent = batched(self._find_parents)
        self._select_page = shared(self._select_page_alone)
        self._count_shared = shared(self._count_alone)

    async def insert(self, session: Session, values: Values) -> Record:
        """Insert a record and return it with the database's defaults.

        Raises RecordAlreadyExists if a unique value is taken, and InvalidAPIRequest (422) if it
        refers to a record that does not exist.
        """
        record: Record | None = None
        is_given = self._insert_batch and values.get(self.unique[0]) is not None
        if is_given and may_share(values):
            record = await self._insert_batch(session, values[self.unique[0]], values)
        if record:
            return record
        statement = insert(self.model).values(**values).returning(*record_columns(self.model))
        with self._conflicts(values):
            return Record(*(await session.execute(statement)).one())

    async def get(
        self,
        session: Session,
        id: int,
        only: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
        include: Collection[str] | None = None,
    ) -> Record:
        """Return a record with `only` these fields, or all except `exclude`.

        `include` names the references whose records it has too. Raises RecordNotFound.
        """
        # Most requests ask for a complete record, which needs no list of columns.
        partly = only is not None or exclude is not None
        fields = select_fields(self.model.fields(), only, exclude) if partly else None
        if id > MAX_BIGINT:
            raise _not_found(self.model, id)
        if include:
            included = select_included(self.model, include)
            record = await self._select_including(session, id, fields, included)
        else:
            record = await self._select_batch(session, id, fields)
        if record is None:
            raise _not_found(self.model, id)
        return record

    async def record(
        self,
        session: AsyncSession,
        id: int,
        versions: Versions | None = None,
        *,
        lock: Lock | None = None,
    ) -> M:
        """Return a record, mapped, that has one of `versions` (None: any): for a rule to read.

        With a `lock` it stays as it is until the transaction ends. It is changed by `update`, which
        returns what is answered. Raises RecordNotFound, PreconditionFailed.
        """
        [record] = await self.records(session, [id], lock=lock)
        version = cast("Any", record).row_version + fingerprint(self.model)
        if versions is not None and version not in versions:
            self._refuse(id, version, versions)
        return record

    async def records(
        self, session: AsyncSession, ids: Sequence[int], *, lock: Lock | None = None
    ) -> list[M]:
        """Return records, mapped, in the order of `ids`.

        They are locked in the order of their own, so that transactions that lock the same records
        do not deadlock. Raises RecordNotFound.
        """
        _require_transaction(session)
        keys = [key for key in ids if key <= MAX_BIGINT]
        found = await session.scalars(_mapped(self.model, lock), {"keys": keys})
        records = {record.id: record for record in found}
        for key in ids:
            if key not in records:
                raise _not_found(self.model, key)
        return [records[key] for key in ids]

    async def page(self, session: Session, query: ListQuery, *, count: bool = False) -> Page:
        """Return a page of the collection, with `count` also the number of records.

        Raises InvalidAPIRequest (422) if `sort` has a duplicate field, or if the cursor is invalid.
        """
        selection = self.selection(query, query.most_records())
        search = self._search_of(selection)
        pages = paging(session)
        if self.is_costly(selection, in_parts=search is None):
            pages = costly(session)
        elif search:
            pages = searching(session)
        if search:
            page = await search.page(pages, self.model, selection)
        else:
            page = await self._select_page(pages, selection)
        if count:
            total = await self._count_shared(costly(session), selection.filters)
            page = replace(page, total=total)
        return page

    async def page_of(
        self, session: Session, column: str, id: int, query: ListQuery, *, count: bool = False
    ) -> Page:
        """Return a page of the records that refer to the record with this `id` by a column.

        Raises RecordNotFound if that does not exist, which is looked up only if the page is empty;
        InvalidAPIRequest (422) as `page` does, and if the query has another value of the column.
        """
        if getattr(query, column) not in {None, id}:
            fault = Fault(
                f"/{column}",
                "const",
                f"'{column}' is not {cut(str(id))}, as in the URL: leave it out",
            )
            raise InvalidAPIRequest(status_code=422, faults=[fault])
        query = query.model_copy(update={column: id})
        _, target = self._reference(column)
        if id > MAX_BIGINT:
            # An invalid query is answered first.
            self.selection(query, None)
            raise _not_found(target, id)
        page = await self.page(session, query, count=count)
        if page.is_empty and not await self._find_parent(session, id, target):
            raise _not_found(target, id)
        return page

    def selection(self, query: ListQuery, limit: int | None) -> Selection:
        """Return the selection of a query string. Raises InvalidAPIRequest (422)."""
        order = order_of(query.sort, self.keys)
        filters = tuple(query.filters())
        return Selection(
            order=order,
            filters=filters,
            fields=select_fields(self.model.fields(), query.only, query.exclude),
            limit=limit,
            after=read_cursor(query.after, order, filters, self.model),
            include=select_included(self.model, query.include),
            is_long=limit is None or 4 * limit > query.allowed_records(),
        )

    def is_costly(self, selection: Selection, *, in_parts: bool) -> bool:
        """Return whether PostgreSQL may have to read every record to find the first.

        Pages without a search are read `in_parts`, if their order may have NULL.
        """
        return is_costly(self.model, selection, self._search_of(selection), in_parts=in_parts)

    def _search_of(self, selection: Selection) -> Searching | None:
        return self.search if PART in dict(selection.filters) else None

    async def conditions(self, session: Session, filters: Filters) -> list[ColumnElement[bool]]:
        """Return the conditions of the filters."""
        return [
            await self.search.condition(session, self.model, text)
            if name == PART and self.search
            else equals(self.model, name, text)
            for name, text in filters
        ]

    async def update(
        self, session: Session, id: int, values: Values, versions: Versions | None = None
    ) -> Record:
        """Update a record that has one of `versions` (None: any) and return it.

        Raises RecordNotFound, PreconditionFailed, RecordAlreadyExists, InvalidAPIRequest.
        """
        if not values:
            unchanged = await self.get(session, id)
            if versions is not None and unchanged.row_version not in versions:
                self._refuse(id, unchanged.row_version, versions)
            return unchanged
        record = None if id > MAX_BIGINT else await self._update(session, id, values, versions)
        return record or await self._missed(session, id, versions)

    async def delete(self, session: Session, id: int, versions: Versions | None = None) -> str:
        """Delete a record that has one of `versions` (None: any), and return a message.

        Raises RecordNotFound, PreconditionFailed, Conflict if another record refers to it.
        """
        if id > MAX_BIGINT or not await self._delete(session, id, versions):
            await self._missed(session, id, versions)
        return f"{self._name} with `id: {id}` has been deleted."

    def taken(self, name: str, value: Any) -> str:
        """Return the message for a unique value that another record has."""
        plain = cut(str(to_plain(value)))
        return f"{name.capitalize().replace('_', ' ')} `{plain}` has already been taken"

    def missing(self, name: str, value: Any, line: int | None = None) -> Fault:
        """Return the fault of a column that refers to no record."""
        _, target = self._reference(name)
        sentence = f"There is no {target.__name__} with `id: {value}`"
        return Fault(f"/{name}", "enum", sentence, line)

    @cached_property
    def references(self) -> Mapping[str, tuple[str, type[Base]]]:
        """The columns that refer to other models, which may be imported later, by constraint."""
        return references(self.model)

    def _reference(self, name: str) -> tuple[str, type[Base]]:
        [found] = [one for one in self.references.values() if one[0] == name]
        return found

    @cached_property
    def _insert_batch(self) -> Any:
        # A batch can't tell which of several unique columns conflicts: such records go alone.
        return insert_batch(self.model, self.unique[0]) if len(self.unique) == 1 else None

    async def _select_many(
        self, session: AsyncSession, ids: Sequence[int], fields: tuple[str, ...] | None
    ) -> Mapping[int, Record]:
        # A function of its own is a kind of its own: slow reads of included records are another.
        return await self._select_many_including(session, ids, fields, ())

    async def _select_many_including(
        self,
        session: AsyncSession,
        ids: Sequence[int],
        fields: tuple[str, ...] | None,
        include: tuple[str, ...],
    ) -> Mapping[int, Record]:
        found = await session.execute(_by_ids(self.model, fields, include), {"keys": ids})
        return {row.id: Record(*row) for row in found}

    async def _find_parents(
        self, session: AsyncSession, ids: Sequence[int], target: type[Base]
    ) -> Mapping[int, bool]:
        found = await session.scalars(_existing(target), {"keys": ids})
        return dict.fromkeys(found, True)

    async def _select_page_alone(self, session: AsyncSession, selection: Selection) -> Page:
        return await select_page(session, self.model, selection)

    async def _count_alone(self, session: AsyncSession, filters: Filters) -> int:
        conditions = await self.conditions(session, filters)
        statement = select(func.count()).select_from(self.model).where(*conditions)
        return (await session.scalars(statement)).one()

    async def _update(
        self, session: Session, id: int, values: Values, versions: Versions | None
    ) -> Record | None:
        if versions is None and values.keys() <= self._in_batches and may_share(values):
            record: Record | None = await self._update_batch(session, id, values)
            if record:
                return record
        statement, parameters = change_of(self.model, id, values)
        statement = statement.where(*version_conditions(self.model, versions))
        statement = statement.returning(*record_columns(self.model))
        with self._conflicts(values):
            found = await session.execute(statement, parameters)
        return next((Record(*row) for row in found), None)

    async def _delete(self, session: Session, id: int, versions: Versions | None) -> bool:
        columns = self.model.__table__.columns
        statement = delete(self.model).where(
            columns.id == id, *version_conditions(self.model, versions)
        )
        with self._referred(id):
            return (await session.scalar(statement.returning(columns.id))) is not None

    @contextmanager
    def _conflicts(self, values: Values) -> Iterator[None]:
        """Raise RecordAlreadyExists if a statement violates a unique constraint."""
        try:
            yield
        except IntegrityError as error:
            constraint = constraint_of(error) or ""
            name = unique_columns(self.model).get(constraint)
            if name is not None and name in values:
                raise RecordAlreadyExists(self.taken(name, values[name])) from error
            name, _ = self.references.get(constraint, ("", None))
            if name in values:
                fault = self.missing(name, values[name])
                raise InvalidAPIRequest(status_code=422, faults=[fault]) from error
            raise

    @contextmanager
    def _referred(self, id: int) -> Iterator[None]:
        """Raise Conflict if another record refers to the deleted one."""
        try:
            yield
        except IntegrityError as error:
            if not violates_foreign_key(error):
                raise
            by = table_of(error)
            sentence = (
                f"{self._name} with `id: {id}` can't be deleted: a record of `{by}` refers to it."
            )
            raise Conflict(sentence) from error

    async def _missed(self, session: Session, id: int, versions: Versions | None) -> NoReturn:
        """Raise the reason why a statement found no record to change."""
        if versions is None:
            raise _not_found(self.model, id)
        record = await self.get(session, id)
        self._refuse(id, record.row_version, versions)

    def _refuse(self, id: int, version: int, versions: Versions) -> NoReturn:
        name = f"{self._name} with `id: {id}`"
        if versions.accepts(version):
            sentence = f"`If-None-Match` excludes the current version of {name}."
        else:
            sentence = f"{name} has changed: read it again."
        raise PreconditionFailed(sentence, tag=entity_tag(version))


def _not_found(model: type[Base], id: int) -> RecordNotFound:
    return RecordNotFound(f"There is no {model.__name__} with `id: {cut(str(id))}`")


def _require_transaction(session: object) -> None:
    if not isinstance(session, AsyncSession):
        raise TypeError(NO_TRANSACTION)


@cache
def _mapped(model: type[Base], lock: Lock | None) -> Select[Any]:
    key = model.__table__.columns.id
    found = select(model).where(any_of(key)).order_by(key)
    # What the transaction has read before may have changed since.
    found = found.execution_options(populate_existing=True)
    if lock is None:
        return found
    return found.with_for_update(of=model, key_share=lock is Lock.NO_KEY_UPDATE)


# Cached, because building a statement takes longer than a look-up. Bounded, because clients choose
# the fields.
@lru_cache(SHAPES)
def _by_ids(
    model: type[Base], fields: tuple[str, ...] | None, include: tuple[str, ...] = ()
) -> TextualSelect:
    columns = record_columns(model, fields, include)
    return as_text(select(*columns).where(any_of(model.__table__.columns.id)))


@cache
def _existing(model: type[Base]) -> Select[Any]:
    key = model.__table__.columns.id
    return select(key).where(any_of(key))
