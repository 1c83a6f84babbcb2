"""`just bench [NAME] [OPTIONS]`: runs the benchmark of that name, `rates` without one."""

import runpy
import sys

NAMES = ("rates", "overload", "hostile", "files", "pages", "generate")

if __name__ == "__main__":
    name = sys.argv.pop(1) if sys.argv[1:2] and sys.argv[1] in NAMES else NAMES[0]
    runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)
