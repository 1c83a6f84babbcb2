"""The statements of the blueprint."""

from service.common.resource import Resource
from service.common.search import TextSearch
from tests.blueprints.note.models import Note

NOTE = Resource(Note, search=TextSearch("text"))
