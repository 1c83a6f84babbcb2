"""The pattern of a name: the same in every dialect of regular expressions, and linear."""

import json
import re
import subprocess
import sys

import pytest
from playwright._impl._driver import compute_driver_executable

from service.common.contract.validation import load_schemas

FILES = ("foss/create_foss.json", "foss/update_foss.json")
SPACES = [char for char in map(chr, range(sys.maxunicode + 1)) if char.isspace()] + ["\ufeff"]
ELEPHANT = "\U0001f418"
GOOD = ("ab", "a b", " ab", "ab ", "a\nb\n", ELEPHANT * 2, "\u200b\u200b")
BAD = ("", "a", "  ", "a ", " a", "a\n", "\n\n", "ab\0", "ab\n\0", f"{ELEPHANT} ")
NAMES = {
    **dict.fromkeys(GOOD, True),
    **dict.fromkeys(BAD, False),
    **{f"{space}a{space}": False for space in SPACES},
    **{f"{space}a{space}b{space}": True for space in SPACES},
}
# As JSON Schema has it: with Unicode.
ECMA = """
const [pattern, names] = JSON.parse(require("fs").readFileSync(0));
console.log(JSON.stringify(names.map((name) => new RegExp(pattern, "u").test(name))));
"""


def pattern_of(file: str) -> str:
    pattern: str = load_schemas()[file].document["properties"]["name"]["pattern"]
    return pattern


def test_both_files_have_the_same_pattern() -> None:
    assert len({pattern_of(file) for file in FILES}) == 1


def test_every_dialect_finds_the_same() -> None:
    pattern = pattern_of(FILES[0])
    node = compute_driver_executable()[0]
    done = subprocess.run(
        [node, "-e", ECMA],
        input=json.dumps([pattern, [*NAMES]]),
        capture_output=True,
        text=True,
        check=True,
    )

    assert dict(zip(NAMES, json.loads(done.stdout), strict=True)) == NAMES
    assert {name: bool(re.search(pattern, name)) for name in NAMES} == NAMES
    schema = load_schemas()[FILES[0]]
    valid = {name: schema.faults({"name": name, "email": "a@b.co"}) == [] for name in NAMES}
    assert valid == NAMES


@pytest.mark.parametrize(
    "name", [" " * 1_000_000, "a" + " " * 1_000_000, " a" * 500_000 + "\0", " " * 1_000_000 + "a"]
)
def test_a_long_name_takes_no_longer_than_its_length(name: str) -> None:
    """Quadratic time would take hours."""
    faults = load_schemas()[FILES[0]].faults({"name": name, "email": "a@b.co"})

    assert {fault.keyword for fault in faults} == {"maxLength", "pattern"}
