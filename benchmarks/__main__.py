"""`just bench [NAME]`: a benchmark by its name, or that of the rates."""

import runpy
import sys

NAMES = ("rates", "overload")

if __name__ == "__main__":
    name = sys.argv.pop(1) if sys.argv[1:2] and sys.argv[1] in NAMES else "rates"
    runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)
