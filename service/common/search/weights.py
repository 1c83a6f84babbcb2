"""The estimated cost of a search, by PostgreSQL's statistics."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.common.search.trigrams import Sample, narrow

# If the index finds more than this share of the records, reading all of them is cheaper.
MAX_SHARE = 2 / 3
# A part that contains its first letters more often is slow to search.
BEGINNING, REPETITIONS = 3, 4


@dataclass(frozen=True, slots=True)
class Reading:
    """The cost of reading records in an order.

    `sorted_at_once` is how many records a step may have to sort: none if an index has the order,
    else those with an equal first key. `is_scattered` says that neighbours in the order are not
    neighbours in the table, so that reading one costs about three times as much.
    """

    sorted_at_once: float = 0
    is_scattered: bool = False


def is_repetitive(text: str) -> bool:
    """Return whether searching a text for this part may take long for each letter of the text.

    PostgreSQL compares the part again at each letter. Long comparisons overlap only if the part
    contains its own beginning; each letter is compared about as often as the part contains it.
    """
    lower = text.lower()
    beginning = re.escape(lower[:BEGINNING])
    return len(re.findall(f"(?={beginning})", lower)) > REPETITIONS


class Search:
    """A text to search in columns with known samples."""

    def __init__(  # noqa: PLR0913  # All of it comes from one statement.
        self,
        names: tuple[str, ...],
        part: str,
        samples: Mapping[str, Sample],
        records: float,
        reading: Reading,
        *,
        is_ascii: bool = False,
    ) -> None:
        narrowed = {name: narrow(part, samples.get(name, ()), is_ascii=is_ascii) for name in names}
        self.names, self.part, self.records = names, part, records
        self.reading = reading
        # The share of the records that the index is likely to find.
        self.share = min(1, sum(one.share for one in narrowed.values()))
        # The number of entries that the index is likely to read.
        self.entries = sum(one.entries for one in narrowed.values()) * records
        # Whether the index searches the whole text, so that its result needs no recheck.
        self.is_exact = all(one.parts == (part,) for one in narrowed.values())
        self.patterns = {
            f"q_{name}": pattern(one.parts) for name, one in narrowed.items() if self.uses_index
        }

    @property
    def uses_index(self) -> bool:
        """Whether the index is useful."""
        return self.share <= MAX_SHARE


def pattern(parts: Sequence[str]) -> str:
    """Return the pattern, for ILIKE with `/` as the escape, of texts with these parts."""
    # `%`, `_` and the escape itself are literal characters.
    escaped = [re.sub(r"([%_/])", r"/\1", part) for part in parts]
    return f"%{'%'.join(escaped)}%"
