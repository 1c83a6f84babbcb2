"""The trigrams of a search, and how many records an index is likely to find by them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

LENGTH = 3
# A trigram in more than this share of the records is left out
COMMON = 1 / 20
# if another one of the text is in less than half as many.
COMMONER = 2
# About how many trigrams are used: the index reads all entries of each.
MAX_TRIGRAMS = 8
# They are chosen from about this many trigrams of a text.
CANDIDATES = 32
# PostgreSQL's trigrams consist of letters and digits; other characters separate words. With
# LC_CTYPE `C` only ASCII letters count. The letter `İ` is two characters in lower case.
OTHER_THAN_ASCII, OTHER = re.compile(r"[^0-9A-Za-z]"), re.compile(r"[\W_İ]")
# Fewer consecutive letters may have no trigram.
WORD_PART = re.compile(r"\S{2}")

# Texts of a column, each with the share of the records that it represents.
Sample = Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Narrowed:
    """The parts of a text, in order, that are searched in a trigram index.

    `share` is the share of the records that the index is likely to find, and `entries` the number
    of entries that it is likely to read, as a multiple of the records.
    """

    parts: tuple[str, ...]
    share: float
    entries: float = 0


def has_trigrams(text: str) -> bool:
    """Return whether a trigram index is useful for a text in every database."""
    normal = _normal(text, OTHER_THAN_ASCII)
    return any(WORD_PART.search(normal[at : at + LENGTH]) for at in range(len(normal) - LENGTH + 1))


def narrow(text: str, sample: Sample, *, is_ascii: bool = False) -> Narrowed:
    """Return the parts of `text` whose trigrams are rare in the sample.

    A text without trigrams has no parts: the index finds every record. `is_ascii` says that
    PostgreSQL knows only ASCII letters.
    """
    other = OTHER_THAN_ASCII if is_ascii else OTHER
    lower = _normal(text, other)
    trigrams = [lower[start : start + LENGTH] for start in range(len(lower) - LENGTH + 1)]
    usable = [position for position, one in enumerate(trigrams) if WORD_PART.search(one)]
    if not usable:
        return Narrowed((), 1)
    words = _words(tuple(one for one, _ in sample), other)
    texts = [(one, share) for one, (_, share) in zip(words, sample, strict=True)]
    joined = "\n".join(one for one, _ in texts)
    # The texts that have a trigram; each distinct trigram is searched once.
    candidates = usable[:: len(usable) // CANDIDATES + 1]
    having = {
        trigram: {at for at, (one, _) in enumerate(texts) if trigram in one}
        if trigram in joined
        else set()
        for trigram in {trigrams[position] for position in candidates}
    }

    def share_of(*positions: int) -> float:
        every = set.intersection(*(having[trigrams[position]] for position in positions))
        return sum(texts[at][1] for at in every)

    by_trigram = {one: sum(texts[at][1] for at in found) for one, found in having.items()}
    shares = {position: by_trigram[trigrams[position]] for position in candidates}
    most = max(COMMON, COMMONER * min(shares.values()))
    rare = [position for position, share in shares.items() if share <= most]
    if len(rare) > MAX_TRIGRAMS:
        rare = _few({at: having[trigrams[at]] for at in sorted(rare, key=lambda at: shares[at])})
    share, entries = share_of(*rare), sum(shares[position] for position in rare)
    parts = (text,) if len(rare) == len(usable) else tuple(_parts(text, rare))
    return Narrowed(parts, share, entries)


def _few(having: Mapping[int, set[int]]) -> list[int]:
    """Return a few positions whose trigrams together occur in few texts.

    `having` has the texts with the trigram at a position, the rarest trigram first.
    """
    few = [next(iter(having))]
    left = having[few[0]]
    while left and len(few) < MAX_TRIGRAMS:
        best = min(having, key=lambda position: len(left & having[position]))
        if len(left & having[best]) == len(left):
            break
        few.append(best)
        left = left & having[best]
    return [*few, *(position for position in having if position not in few)][:MAX_TRIGRAMS]


# PostgreSQL's statistics are the same for many searches.
@lru_cache(maxsize=16)
def _words(texts: tuple[str, ...], other: re.Pattern[str]) -> tuple[str, ...]:
    # The beginning and the end of a text are word boundaries.
    return tuple(f" {_normal(one, other)} " for one in texts)


def _normal(text: str, other: re.Pattern[str]) -> str:
    # Not in lower case first: some letters, such as the kelvin sign, become ASCII.
    return other.sub(" ", text).lower()


def _parts(text: str, positions: Sequence[int]) -> list[str]:
    """Return the parts of the text that the trigrams at `positions` cover."""
    kept = {position + offset for position in positions for offset in range(LENGTH)}
    marked = "".join(letter if at in kept else "\0" for at, letter in enumerate(text))
    return [part for part in marked.split("\0") if part]
