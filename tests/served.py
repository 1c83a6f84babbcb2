"""The application under test as a process: `python -m tests.served`, like `python -m service`."""

import sys

from service.server import main
from tests.app import create_app

if __name__ == "__main__":
    sys.exit(main(create_app))
