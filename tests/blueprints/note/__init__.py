"""Notes about accounts: a blueprint of the tests, as `just blueprint` writes it."""

from tests.blueprints.note.views import blueprint

__all__ = ["blueprint"]
