"""What clients send and receive; the files are in `tests/blueprints/schemas/note/`."""

from service.common.contract import Described, Payload
from service.common.resource import FieldsQuery, ListQuery
from tests.blueprints.aside import SCHEMAS


class CreateNote(Payload, schema="note/create_note.json", directory=SCHEMAS):
    """A new Note."""

    account_id: int
    text: str
    witness_id: int | None = None
    origin_id: int | None = None


class UpdateNote(Payload, schema="note/update_note.json", directory=SCHEMAS):
    """The fields to change; other fields keep their values."""

    account_id: int | None = None
    witness_id: int | None = None
    origin_id: int | None = None
    text: str | None = None


class ListNote(ListQuery, schema="note/list_note.json", directory=SCHEMAS):
    """The selection of records, their order, and the fields to return."""

    account_id: int | None = None
    witness_id: int | None = None
    origin_id: int | None = None


class GetNote(FieldsQuery, schema="note/get_note.json", directory=SCHEMAS):
    """The fields to return."""


class NoteDocument(Described, schema="note/note.json", directory=SCHEMAS):
    """A Note in a response."""


class NoteFields(Described, schema="note/note_fields.json", directory=SCHEMAS):
    """A Note, or some of its fields."""


class NoteList(Described, schema="note/note_list.json", directory=SCHEMAS):
    """A page of the collection."""
