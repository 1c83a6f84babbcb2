"""What an index on trigrams is asked for, and how many records it is likely to name."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

LENGTH = 3
# A trigram that more than this share of the records have narrows the search too little,
COMMON = 1 / 20
# if another one of the text has less than half as many.
COMMONER = 2
# How many trigrams the index is asked for, about: it reads what it knows about each of them.
FEW = 8
# They are chosen from about this many trigrams of a text.
CANDIDATES = 32
# PostgreSQL's trigrams are of letters and digits; whatever else there is only separates words.
# With LC_CTYPE `C` it knows those of ASCII alone. The letter `İ` is two in lower case.
OTHER_THAN_ASCII, OTHER = re.compile(r"[^0-9A-Za-z]"), re.compile(r"[\W_İ]")
# Of fewer letters in a row there may be no trigram.
WORD = re.compile(r"\S{2}")

# Texts of a column, each with the share of the records that it stands for.
Sample = Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Narrowed:
    """The parts of a text, in their order, that an index on trigrams is asked for.

    `share` is the share of the records that the index is likely to name, and `entries` how many
    entries it is likely to read for that, as a multiple of the records.
    """

    parts: tuple[str, ...]
    share: float
    entries: float = 0


def has_trigrams(text: str) -> bool:
    """Return whether an index on trigrams is of use for a text in every database."""
    normal = _normal(text, OTHER_THAN_ASCII)
    return any(WORD.search(normal[at : at + LENGTH]) for at in range(len(normal) - LENGTH + 1))


def narrow(text: str, sample: Sample, *, is_ascii: bool = False) -> Narrowed:
    """Return the parts of `text` whose trigrams are the rare ones in the sample.

    A text without trigrams has no parts: the index names every record. `is_ascii` says that
    PostgreSQL knows the letters of ASCII alone.
    """
    other = OTHER_THAN_ASCII if is_ascii else OTHER
    lower = _normal(text, other)
    trigrams = [lower[start : start + LENGTH] for start in range(len(lower) - LENGTH + 1)]
    usable = [position for position, one in enumerate(trigrams) if WORD.search(one)]
    if not usable:
        return Narrowed((), 1)
    words = _words(tuple(one for one, _ in sample), other)
    texts = [(one, share) for one, (_, share) in zip(words, sample, strict=True)]
    joined = "\n".join(one for one, _ in texts)
    # Which texts have a trigram: each trigram is looked for once, however often the text has it.
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
    if len(rare) > FEW:
        rare = _few({at: having[trigrams[at]] for at in sorted(rare, key=lambda at: shares[at])})
    share, entries = share_of(*rare), sum(shares[position] for position in rare)
    parts = (text,) if len(rare) == len(usable) else tuple(_parts(text, rare))
    return Narrowed(parts, share, entries)


def _few(having: Mapping[int, set[int]]) -> list[int]:
    """Return a few positions, of which none has more texts in common than need be.

    Given are the texts that have the trigram at a position, the rarest trigram first.
    """
    few = [next(iter(having))]
    left = having[few[0]]
    while left and len(few) < FEW:
        best = min(having, key=lambda position: len(left & having[position]))
        if len(left & having[best]) == len(left):
            break
        few.append(best)
        left = left & having[best]
    return [*few, *(position for position in having if position not in few)][:FEW]


# PostgreSQL's statistics are the same for many searches.
@lru_cache(maxsize=16)
def _words(texts: tuple[str, ...], other: re.Pattern[str]) -> tuple[str, ...]:
    # The beginning and the end of a text are also those of a word.
    return tuple(f" {_normal(one, other)} " for one in texts)


def _normal(text: str, other: re.Pattern[str]) -> str:
    # Not in lower case first: some letters, such as the sign of kelvin, are ASCII only then.
    return other.sub(" ", text).lower()


def _parts(text: str, positions: Sequence[int]) -> list[str]:
    """Return what the trigrams at `positions` cover, as one part for each gap-free run."""
    kept = {position + offset for position in positions for offset in range(LENGTH)}
    marked = "".join(letter if at in kept else "\0" for at, letter in enumerate(text))
    return [part for part in marked.split("\0") if part]
