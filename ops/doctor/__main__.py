"""`just doctor`: print a line for each check, with what to do where something is wrong."""

# Before the slow imports: Ctrl-C during them shows no traceback.
import signal

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import os
import re
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
    return examine(Subject())


def examine(subject: Subject) -> int:
    """Run every check on the subject and return 0 if nothing is wrong."""
    told, left_out = set[Finding](), 0
    for name, check in CHECKS.items():
        outcome = run(partial(check, subject))
        if isinstance(outcome, list):
            # The same cause may concern several checks.
            new = [one for one in dict.fromkeys(outcome) if one not in told]
            told.update(new)
            outcome = new or NotChecked("for a reason above")
        left_out += isinstance(outcome, NotChecked)
        show(name, outcome)
    print()
    if told:
        again = ", then run this again: not everything was checked" if left_out else ""
        print(f"Wrong: {len(told)}. Correct what is said above{again}.")
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
    # A command stays in one line, so that it can be copied.
    texts = [re.sub("`[^`]+`", lambda found: found[0].replace(" ", "\0"), text) for text in texts]
    lines = [
        part
        for text in texts
        for line in text.splitlines()
        # A line of a log begins with spaces.
        for part in (
            [line]
            if line.startswith(" ")
            else textwrap.wrap(
                line, COLUMNS - len(MARGIN), break_long_words=False, break_on_hyphens=False
            )
        )
    ]
    print(f"{mark:<7}{name:<{WIDTH}}  ", end="")
    print(f"\n{MARGIN}".join(lines).replace("\0", " "), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = guarded(main)
    # Without waiting for a check that hangs.
    os._exit(code)
