"""Accounts and transfers between them: a blueprint of the tests, with rules that read records."""

from tests.blueprints.account.views import blueprint

__all__ = ["blueprint"]
