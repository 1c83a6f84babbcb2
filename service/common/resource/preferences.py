"""Preferences (RFC 7240) of a client."""

COUNT = "count=exact"


def wants_count(prefer: str | None) -> bool:
    """Return whether a `Prefer` header asks for the number of records."""
    if prefer is None:
        return False
    pairs = [preference.partition(";")[0].partition("=") for preference in prefer.split(",")]
    values = [value.strip(' \t"') for name, _, value in pairs if name.strip().lower() == "count"]
    # The first preference of a name applies (section 2).
    return values[:1] == ["exact"]
