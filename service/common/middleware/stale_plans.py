"""Stale plans: a read that fails as a migration has changed its table is read again, once.

PostgreSQL refuses a statement that was prepared before the type of a column changed;
SQLAlchemy then prepares all of them anew.
"""

from typing import Any

from quart import Quart, request

from service.common.database.sqlstates import is_stale_plan
from service.common.middleware.unit_of_work import SAFE_METHODS, close


def register(app: Quart) -> None:
    """Call the view of a `GET` or `HEAD` again where a plan was stale."""
    dispatch = app.dispatch_request

    async def dispatch_again(*args: Any) -> Any:
        try:
            return await dispatch(*args)
        except Exception as error:
            if request.method not in SAFE_METHODS or not is_stale_plan(error):
                raise
            await close(error)
        return await dispatch(*args)

    app.dispatch_request = dispatch_again  # type: ignore[assignment, method-assign]  # As deadline.py.
