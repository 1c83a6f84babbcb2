"""Items: a blueprint of the tests, with all that a resource has and no rule of its own."""

from tests.blueprints.item.views import blueprint

__all__ = ["blueprint"]
