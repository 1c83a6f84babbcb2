"""The statements of the blueprint: those that every resource has."""

from service.common.resource import Resource
from tests.blueprints.note.models import Note

NOTE = Resource(Note)
