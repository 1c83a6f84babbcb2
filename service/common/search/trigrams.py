"""What an index on trigrams is asked for, and how many records it is likely to name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

LENGTH = 3
# A trigram that more than this share of the records have narrows the search too little,
COMMON = 1 / 20
# if another one of the text has less than half as many.
COMMONER = 2
# PostgreSQL's trigrams are of letters and digits; whatever else there is only separates words.
OTHER = re.compile(r"[\W_]")
# Of fewer letters in a row there may be no trigram.
WORD = re.compile(r"[^\W_]{2}")

# Texts of a column, each with the share of the records that it stands for.
Sample = Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Narrowed:
    """The parts of a text, in their order, that an index on trigrams is asked for.

    `share` is the share of the records that the index is likely to name.
    """

    parts: tuple[str, ...]
    share: float


def has_trigrams(text: str) -> bool:
    """Return whether an index on trigrams is of use for a text."""
    normal = _normal(text)
    return any(WORD.search(normal[at : at + LENGTH]) for at in range(len(normal) - LENGTH + 1))


def narrow(text: str, sample: Sample) -> Narrowed:
    """Return the parts of `text` whose trigrams are the rare ones in the sample.

    A text without trigrams has no parts: the index names every record.
    """
    lower = _normal(text)
    trigrams = [lower[start : start + LENGTH] for start in range(len(lower) - LENGTH + 1)]
    usable = [position for position, one in enumerate(trigrams) if WORD.search(one)]
    if not usable:
        return Narrowed((), 1)
    words = _words(tuple(one for one, _ in sample))
    texts = [(one, share) for one, (_, share) in zip(words, sample, strict=True)]
    joined = "\n".join(one for one, _ in texts)
    # Which texts have a trigram: each trigram is looked for once, however often the text has it.
    having = {
        trigram: {at for at, (one, _) in enumerate(texts) if trigram in one}
        if trigram in joined
        else set()
        for trigram in {trigrams[position] for position in usable}
    }

    def share_of(*positions: int) -> float:
        every = set.intersection(*(having[trigrams[position]] for position in positions))
        return sum(texts[at][1] for at in every)

    by_trigram = {one: sum(texts[at][1] for at in found) for one, found in having.items()}
    shares = {position: by_trigram[trigrams[position]] for position in usable}
    most = max(COMMON, COMMONER * min(shares.values()))
    rare = [position for position, share in shares.items() if share <= most]
    if len(rare) == len(usable) or len(lower) != len(text):
        # Characters such as `İ` are two in lower case, so that positions do not agree.
        return Narrowed((text,), share_of(*usable))
    return Narrowed(tuple(_parts(text, rare)), share_of(*rare))


# PostgreSQL's statistics are the same for many searches.
@lru_cache(maxsize=16)
def _words(texts: tuple[str, ...]) -> tuple[str, ...]:
    # The beginning and the end of a text are also those of a word.
    return tuple(f" {_normal(one)} " for one in texts)


def _normal(text: str) -> str:
    return OTHER.sub(" ", text.lower())


def _parts(text: str, positions: Sequence[int]) -> list[str]:
    """Return what the trigrams at `positions` cover, as one part for each gap-free run."""
    kept = {position + offset for position in positions for offset in range(LENGTH)}
    marked = "".join(letter if at in kept else "\0" for at, letter in enumerate(text))
    return [part for part in marked.split("\0") if part]
