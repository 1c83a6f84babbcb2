"""Two releases of the application under test as a process: `python -m tests.released old` or `new`.

The old one writes the column `legacy`, the new one `priority` instead: see docs/deploy.md.
"""

import sys

from sqlalchemy import Integer, Text
from sqlalchemy.orm import mapped_column

from service.server import main
from tests.app import create_app
from tests.blueprints.item.models import Item

# The contract is the same.
PRIVATE = {"private": True}

if __name__ == "__main__":
    if sys.argv[1] == "old":
        Item.legacy = mapped_column(Text, default="old", info=PRIVATE)
    else:
        Item.priority = mapped_column(Integer, default=1, info=PRIVATE)
    sys.exit(main(create_app))
