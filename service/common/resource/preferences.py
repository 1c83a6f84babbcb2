"""Preferences (RFC 7240): what a client would like, and does without."""

COUNT = "count=exact"


def wants_count(prefer: str | None) -> bool:
    """Return whether a `Prefer` header asks how many records there are."""
    if prefer is None:
        return False
    pairs = [preference.partition(";")[0].partition("=") for preference in prefer.split(",")]
    values = [value.strip(' \t"') for name, _, value in pairs if name.strip().lower() == "count"]
    # The first of a name counts (section 2).
    return values[:1] == ["exact"]
