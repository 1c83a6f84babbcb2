"""Notes about accounts: a blueprint of the tests, with references to other records and its own."""

from tests.blueprints.note.views import blueprint

__all__ = ["blueprint"]
