"""The versions of records in statements."""

from collections.abc import Collection
from functools import cache
from hashlib import sha256
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ColumnElement, all_, any_, false, literal, literal_column

from service.common.database import Base
from service.common.resource.entity_tags import Versions

# A tag has up to 18 digits: twelve for the version, the others for the fingerprint.
MAX_VERSIONS = 10**12
FINGERPRINTS = 10**6 - 1


@cache
def fingerprint(model: type[Base]) -> int:
    """Return what entity tags add to a version: 0, until a field is added to records that exist.

    Their versions stay, but their representations have the field.
    """
    later = sorted(one.key for one in model.__table__.columns if one.info.get("later"))
    digest = int(sha256(",".join(later).encode()).hexdigest(), 16)
    return MAX_VERSIONS * (1 + digest % FINGERPRINTS) if later else 0


def tagged_version(model: Any) -> ColumnElement[int]:
    """Return the expression of the version in a record's entity tag."""
    version: ColumnElement[int] = model.__table__.columns.row_version
    added = fingerprint(model)
    return version + literal_column(str(added), BigInteger) if added else version


def version_conditions(model: Any, versions: Versions | None) -> list[ColumnElement[bool]]:
    """Return the conditions for a record with one of `versions` (None: any)."""
    if versions is None:
        return []
    version = tagged_version(model)
    conditions: list[ColumnElement[bool]] = []
    # An array is one parameter, so the statement is the same for any number of values, unlike `IN`.
    if versions.accepted is not None:
        conditions.append(version == any_(_array(version, versions.accepted)))
    if versions.refused is None:
        conditions.append(false())
    elif versions.refused:
        conditions.append(version != all_(_array(version, versions.refused)))
    return conditions


def _array(column: Any, values: Collection[Any]) -> ColumnElement[Any]:
    return literal([*values], ARRAY(column.type))
