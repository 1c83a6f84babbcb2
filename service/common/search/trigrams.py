"""The trigrams of a text that is looked for, and which of them are worth looking for."""

import re
from collections.abc import Collection

LENGTH = 3
# A trigram that more than this part of the records have narrows nothing.
COMMON = 1 / 20
# PostgreSQL's trigrams are of letters and digits; of less than this there may be none.
WORD = re.compile(r"[^\W_]{2}")


def rare_parts(text: str, sample: Collection[str]) -> list[str]:
    """Return `text` without what is common among the texts of `sample`, as parts in their order.

    That is the text itself where nothing is common, and no part where everything is.
    """
    lower = text.lower()
    if len(lower) != len(text):
        return [text]  # As of `İ`, which is two characters then.
    # A word begins and ends also where a text does.
    texts = [f" {one.lower()} " for one in sample]
    joined = "\n".join(texts)
    kept = [False] * len(text)
    for start in range(len(lower) - LENGTH + 1):
        trigram = lower[start : start + LENGTH]
        if not WORD.search(trigram):
            continue
        # Most that are rare are in none.
        if trigram not in joined or sum(trigram in one for one in texts) <= COMMON * len(texts):
            kept[start : start + LENGTH] = [True] * LENGTH
    marked = "".join(letter if keep else "\0" for letter, keep in zip(text, kept, strict=True))
    return [part for part in marked.split("\0") if part]
