"""The names that statements give to common table expressions."""

import re

from service.common.resource.collection import PARTS_NAME
from service.settings import ROOT

NAME = re.compile(r"\.cte\(([^)]*)\)")


def test_no_blueprint_can_have_the_name_of_a_common_table_expression() -> None:
    """Else a statement that includes its records would read that in the place of the table."""
    texts = [path.read_text() for path in (ROOT / "service").rglob("*.py")]
    names = [name for text in texts for name in NAME.findall(text)]

    assert len(names) >= 4
    assert {name for name in names if not name.startswith('"_')} == {"PARTS_NAME"}
    assert PARTS_NAME.startswith("_")
