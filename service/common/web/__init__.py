"""The application, requests, bodies and responses."""

from service.common.web.admission import Admission
from service.common.web.app import App, current_application
from service.common.web.bodies import StreamedBody
from service.common.web.body_limits import body_size, take_body
from service.common.web.connection import GIVE_UP, nothing_to_cancel
from service.common.web.deadline import in_time, lift_deadline
from service.common.web.drain import begin_drain
from service.common.web.json_exceptions import answer
from service.common.web.json_responses import json_text
from service.common.web.peer import WATCH, has_disconnected, on_close
from service.common.web.prefix import public_path
from service.common.web.request import announces_body, current_request
from service.common.web.request_id import choose_request_id
from service.common.web.routing import (
    HEALTH_PATHS,
    LIVE_PATH,
    READY_PATH,
    RecordId,
    is_public,
    public,
    routes_of,
)
from service.common.web.turns import LongSteps, Turns

__all__ = [
    "GIVE_UP",
    "HEALTH_PATHS",
    "LIVE_PATH",
    "READY_PATH",
    "WATCH",
    "Admission",
    "App",
    "LongSteps",
    "RecordId",
    "StreamedBody",
    "Turns",
    "announces_body",
    "answer",
    "begin_drain",
    "body_size",
    "choose_request_id",
    "current_application",
    "current_request",
    "has_disconnected",
    "in_time",
    "is_public",
    "json_text",
    "lift_deadline",
    "nothing_to_cancel",
    "on_close",
    "public",
    "public_path",
    "routes_of",
    "take_body",
]
