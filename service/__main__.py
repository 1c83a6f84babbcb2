"""`python -m service`: serve until SIGTERM or SIGINT."""

# Before the slow imports: Ctrl-C during them shows no traceback.
import signal

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys

from service.server import main

if __name__ == "__main__":
    sys.exit(main())
