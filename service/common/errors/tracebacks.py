"""Exceptions as the log shows them: types and frames, and no message that may quote a request.

A message of a library may have anything in it: h11 quotes a header line with the key, Python the
text that is no number, PostgreSQL a value.
"""

import os
import traceback
from dis import opmap

from service.common.errors.exceptions import JSONException
from service.settings import ROOT

WITHHELD = "(message withheld: it may quote a request)"
# PostgreSQL's class of errors about values; messages of the others name columns and constraints.
DATA_EXCEPTION = "22"
CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"


def traceback_of(error: BaseException) -> str:
    """Return the frames of an exception and of those that led to it, as Python prints them."""
    parts: list[str] = []
    seen: set[int] = set()
    link = ""
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        parts.append(_frames_of(cause) + link)
        link = CONTEXT if cause.__cause__ is None else CAUSE
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "".join(reversed(parts))


def _frames_of(error: BaseException) -> str:
    frames = "".join(traceback.format_tb(error.__traceback__))
    heading = "Traceback (most recent call last):\n" if frames else ""
    text = f"{heading}{frames}{summary_of(error)}\n"
    if isinstance(error, BaseExceptionGroup):
        text += "".join(f"\n{traceback_of(one)}" for one in error.exceptions)
    return text


def summary_of(error: BaseException) -> str:
    """Return the type of an exception, with its message if that quotes no request."""
    kind = type(error)
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    return f"{name}: {_message_of(error)}"


def _message_of(error: BaseException) -> str:
    sqlstate = getattr(error, "sqlstate", None)
    if sqlstate:
        # What PostgreSQL quotes of a record is behind `DETAIL:`, in the lines that follow.
        first = str(error).split("\n", 1)[0]
        return WITHHELD if sqlstate.startswith(DATA_EXCEPTION) else f"{first} (SQLSTATE {sqlstate})"
    if isinstance(error, OSError | BaseExceptionGroup) or _is_raised_here(error):
        return str(error)
    return WITHHELD


def _is_raised_here(error: BaseException) -> bool:
    """Return whether a `raise` of the project's own code made an exception of the program.

    What clients are told (`JSONException`), and faults of values, quote what was sent.
    """
    of_values = isinstance(error, JSONException | ValueError | LookupError)
    if of_values or error.__traceback__ is None:
        return False
    innermost = error.__traceback__
    while innermost.tb_next is not None:
        innermost = innermost.tb_next
    code = innermost.tb_frame.f_code
    return (
        code.co_filename.startswith(f"{ROOT}{os.sep}")
        and "site-packages" not in code.co_filename
        and code.co_code[innermost.tb_lasti] == opmap["RAISE_VARARGS"]
    )
