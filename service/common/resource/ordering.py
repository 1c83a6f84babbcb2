"""The order of a collection: from `sort` to keys that make a total order."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from service.common.errors import Fault, InvalidAPIRequest, quote

Order = tuple["Key", ...]


@dataclass(frozen=True, slots=True)
class Key:
    """A column, its direction, and whether NULL comes before other values."""

    name: str
    descending: bool = False
    nulls_first: bool = False
    # Whether no record that is read has NULL: for one, if all have the value of a filter.
    never_null: bool = False

    def reversed(self) -> "Key":
        """Return the same column in the opposite order."""
        return replace(self, descending=not self.descending, nulls_first=not self.nulls_first)


def order_of(sort: Sequence[str] | None, unique: Collection[str]) -> Order:
    """Return the keys of `sort`, such as `("-name",)`, up to the first that is `unique`.

    If none is, `id` follows in the direction of the last: one index serves both directions.
    Raises InvalidAPIRequest (422) if a field is duplicated.
    """
    keys: list[Key] = []
    for name in sort or ("id",):
        key = Key(name.removeprefix("-"), name.startswith("-"))
        if key.name in {known.name for known in keys}:
            fault = Fault("/sort", "uniqueItems", f"{quote(key.name)} is given more than once")
            raise InvalidAPIRequest(status_code=422, faults=[fault])
        keys.append(key)
    for position, key in enumerate(keys):
        if key.name in unique:
            # Further keys have no effect.
            return tuple(keys[: position + 1])
    return (*keys, Key("id", keys[-1].descending))
