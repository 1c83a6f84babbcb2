"""`just doctor`: print a line for each check, with what to do where something is wrong."""

import os
import sys
import textwrap
from functools import partial

from ops import environment
from ops.doctor import database, machine, programs, project, stack
from ops.doctor.checking import Finding, NotChecked, Outcome, run
from ops.doctor.subject import Subject
from service.failures import guarded

# In this order: what a later check needs has been reported by an earlier one.
CHECKS = {
    "Python": machine.check_python,
    "umask": machine.check_umask,
    ".env": project.check_env_file,
    "settings": project.check_settings,
    "keys": project.check_keys,
    "folder": project.check_folder,
    "files": project.check_files,
    "packages": project.check_environments,
    "disk": machine.check_disk,
    "clock": machine.check_clock,
    "open files": machine.check_open_files,
    "Docker": programs.check_docker,
    "commands": stack.check_commands,
    "stack": stack.check_programs,
    "ready": stack.check_ready,
    "port": machine.check_ports,
    "nginx": programs.check_nginx,
    "embedded": stack.check_embedded,
    "database": database.check_reached,
    "schema": database.check_migrations,
    "connections": database.check_connections,
    "its clock": database.check_clock,
    "pg_dump": database.check_clients,
}
WIDTH = max(map(len, CHECKS))
MARGIN = " " * (len("WRONG  ") + WIDTH + 2)
COLUMNS = 100


def main() -> int:
    """Run every check and return 0 if nothing is wrong."""
    environment.clean()
    subject, told = Subject(), set[Finding]()
    for name, check in CHECKS.items():
        outcome = run(partial(check, subject))
        if isinstance(outcome, list):
            # The same cause may concern several checks.
            new = [one for one in dict.fromkeys(outcome) if one not in told]
            told.update(new)
            outcome = new or NotChecked("for a reason above")
        show(name, outcome)
    print()
    if told:
        print(f"{len(told)} thing{'s are' if len(told) > 1 else ' is'} wrong, as said above.")
    else:
        print("Nothing is wrong.")
    return 1 if told else 0


def show(name: str, outcome: Outcome | NotChecked) -> None:
    """Print the result of a check."""
    if isinstance(outcome, str):
        entry("ok", name, [outcome])
    elif isinstance(outcome, NotChecked):
        entry("-", name, [f"not checked: {outcome.reason}"])
    else:
        for finding in outcome:
            entry("WRONG", name, [finding.problem, finding.remedy])


def entry(mark: str, name: str, texts: list[str]) -> None:
    """Print texts, each from a line of its own, beside the mark and the name of a check."""
    lines = [
        part
        for text in texts
        for line in text.splitlines()
        # A line of a log begins with spaces; a path is not broken, so that it can be copied.
        for part in (
            [line]
            if line.startswith(" ")
            else textwrap.wrap(
                line, COLUMNS - len(MARGIN), break_long_words=False, break_on_hyphens=False
            )
        )
    ]
    print(f"{mark:<7}{name:<{WIDTH}}  ", end="")
    print(f"\n{MARGIN}".join(lines), flush=True)


if __name__ == "__main__":
    code = guarded(main)
    sys.stdout.flush()
    # Without waiting for a check that hangs.
    os._exit(code)
