<<<<<<< HEAD
"""`just bench [NAME] [OPTIONS]`: runs the benchmark of that name, `rates` without one."""
=======
"""`just bench [NAME]`: a benchmark by its name, or that of the rates."""
>>>>>>> h-load

import runpy
import sys

<<<<<<< HEAD
NAMES = ("rates", "hostile", "files", "pages")

if __name__ == "__main__":
    name = sys.argv.pop(1) if sys.argv[1:2] and sys.argv[1] in NAMES else NAMES[0]
=======
NAMES = ("rates", "overload")

if __name__ == "__main__":
    name = sys.argv.pop(1) if sys.argv[1:2] and sys.argv[1] in NAMES else "rates"
>>>>>>> h-load
    runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)
