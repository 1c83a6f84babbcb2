"""Every error by its status and type, as the envelope holds it."""

import json
from typing import Any

import pytest

from service import create_app
from service.common.contract.validation import load_schemas
from service.common.errors.catalogue import kinds
from service.common.errors.exceptions import Fault, JSONException, cut
from service.settings import Settings

# Name, status and headers of every error.
ERRORS: dict[str, tuple[int, dict[str, str]]] = {
    "InvalidAPIRequest": (400, {}),
    "InvalidPermissions": (401, {"WWW-Authenticate": "Bearer"}),
    "RecordNotFound": (404, {}),
    "RequestTimeout": (408, {"Connection": "close"}),
    "RecordAlreadyExists": (409, {}),
    "Conflict": (409, {}),
    "RequestInProgress": (409, {"Retry-After": "1"}),
    "PreconditionFailed": (412, {}),
    "InvalidContentType": (415, {}),
    "TooManyRequests": (429, {"Retry-After": "1"}),
    "InternalError": (500, {}),
    "DatabaseError": (503, {"Retry-After": "1"}),
    "Unavailable": (503, {"Retry-After": "1"}),
    "DeadlineExceeded": (504, {}),
}
# It imports the features, which have errors of their own.
create_app(Settings())
CLASSES = {error.__name__: error for error in kinds(JSONException)}
FAULT = Fault("/name", "minLength", "'f' is too short")


def test_the_table_has_every_exception() -> None:
    assert set(ERRORS) == set(CLASSES)


@pytest.mark.parametrize("name", ERRORS)
def test_every_exception_has_its_status_its_headers_and_a_sentence(name: str) -> None:
    error = CLASSES[name]("It failed.")

    assert error.to_dict() == {"code": ERRORS[name][0], "type": name, "message": "It failed."}
    assert error.response_headers == ERRORS[name][1]
    assert str(error) == "It failed."
    assert (CLASSES[name].__doc__ or "").endswith(".")


@pytest.mark.parametrize("name", ERRORS)
def test_every_exception_fits_the_published_envelope(name: str) -> None:
    schema = load_schemas()["common/error.json"]

    for error in (CLASSES[name]("It failed."), CLASSES[name](faults=[FAULT])):
        assert schema.faults({"error": error.to_dict() | {"request_id": "a"}}) == []


def test_the_base_is_an_internal_error() -> None:
    assert JSONException("It failed.").to_dict() == {
        "code": 500,
        "type": "JSONException",
        "message": "It failed.",
    }


def test_faults_stand_in_the_message_and_one_by_one() -> None:
    error = CLASSES["InvalidAPIRequest"](
        status_code=422, faults=[FAULT, Fault("", "required", "'email' is a required property")]
    )

    assert error.to_dict() == {
        "code": 422,
        "type": "InvalidAPIRequest",
        "message": ["'f' is too short", "'email' is a required property"],
        "errors": [
            {"pointer": "/name", "keyword": "minLength", "message": "'f' is too short"},
            {"pointer": "", "keyword": "required", "message": "'email' is a required property"},
        ],
    }
    assert str(error) == "'f' is too short; 'email' is a required property"


def test_an_error_has_at_most_100_faults() -> None:
    facts: dict[str, Any] = JSONException(faults=[FAULT] * 101).to_dict()

    assert len(facts["message"]) == len(facts["errors"]) == 100


def test_a_status_and_headers_of_one_error_do_not_change_its_class() -> None:
    kind = CLASSES["TooManyRequests"]
    error = kind("No.", status_code=403, headers={"X-Reason": "none"})

    assert (error.code, error.response_headers) == (
        403,
        {"Retry-After": "1", "X-Reason": "none"},
    )
    assert (kind("No.").code, kind("No.").response_headers) == (429, {"Retry-After": "1"})


def test_a_fault_is_plain_json() -> None:
    facts = JSONException(faults=[FAULT]).to_dict()

    assert json.loads(json.dumps(facts)) == facts


@pytest.mark.parametrize(
    ("text", "shortened"),
    [("", ""), ("a" * 80, "a" * 80), ("a" * 81, "a" * 80 + "…"), ("🐘" * 100, "🐘" * 80 + "…")],
)
def test_a_quoted_text_is_cut_at_80_characters(text: str, shortened: str) -> None:
    assert cut(text) == shortened
