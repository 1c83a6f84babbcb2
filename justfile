# Each recipe works from a fresh clone: it makes .tools/ and .venv/ when they are missing or stale.

set positional-arguments

export JUST_COMMAND := env("JUST_COMMAND", "just")
export INVOCATION_DIRECTORY := invocation_directory()
export PATH := justfile_directory() / ".tools/bin" + ":" + env("PATH", "/usr/local/bin:/usr/bin:/bin")
# Those of another project could keep Python from starting; an empty one counts as none.
export PYTHONHOME := ""
export PYTHONPATH := ""
# Whatever the locale says.
export PYTHONUTF8 := "1"

heading := "Usage: " + JUST_COMMAND + " COMMAND\n"

[private]
default:
    @{{ quote(just_executable()) }} --list --unsorted --list-heading {{ quote(heading) }}

# Makes .venv with everything for development, from the lock files.
[group('start')]
[no-exit-message]
setup:
    @./just --setup

# Starts the whole stack, waits until it is ready and says where it is: `up local`, `up docker`.
[group('start')]
[no-exit-message]
up where="auto": setup
    @exec .venv/bin/python -m local up "$1"

# Stops the whole stack; the data stay.
[group('start')]
[no-exit-message]
down: setup
    @exec .venv/bin/python -m local down

# Runs the service with reload on every change, on a migrated database.
[group('start')]
[no-exit-message]
serve: migrate
    @exec .venv/bin/python -m local serve

# Shows what runs and how it is.
[group('look')]
[no-exit-message]
ps: setup
    @exec .venv/bin/python -m local ps

# Follows the logs of the stack.
[group('look')]
[no-exit-message]
logs: setup
    @exec .venv/bin/python -m local logs

# Opens a SQL prompt on the database of the stack, or of DATABASE_URL; takes psql's options.
[group('look')]
[no-exit-message]
psql *ARGS: setup
    @exec .venv/bin/python -m local psql "$@"

# Applies the migrations to the database of the stack, or of DATABASE_URL; `--force` to one with other tables.
[group('database')]
[no-exit-message]
migrate *OPTIONS: setup
    @.venv/bin/python -m local migrate "$@"

# Creates a migration from the models.
[group('database')]
[no-exit-message]
revision message: setup
    @.venv/bin/python -m local revision "$1"

# Prints the SQL that `migrate` would run, and runs nothing.
[group('database')]
[no-exit-message]
migrate-sql: setup
    @.venv/bin/python -m local migrate-sql

# Goes back one migration.
[group('database')]
[no-exit-message]
downgrade: setup
    @.venv/bin/python -m local downgrade

# Builds a new image and replaces the replicas one after another; nothing is lost.
[group('operate')]
[no-exit-message]
deploy: setup
    @exec .venv/bin/python -m local deploy

# Writes the data to a file.
[group('operate')]
[no-exit-message]
backup file: setup
    @.venv/bin/python -m local backup "$1"

# Puts the data of a file in place of what is there; `--force` if that is another project's.
[group('operate')]
[no-exit-message]
restore file *OPTIONS: setup
    @.venv/bin/python -m local restore "$@"

# Stores the records of a CSV or NDJSON file, all or none.
[group('operate')]
[no-exit-message]
import file: setup
    @.venv/bin/python -m local import "$1"

# Writes the records to a CSV or NDJSON file; takes parameters of a page, such as `q=sql only=name,email`.
[group('operate')]
[no-exit-message]
export file *QUERY: setup
    @.venv/bin/python -m local export "$@"

# Runs the tests, four files at a time, and measures their coverage; or those that pytest's arguments choose.
[group('develop')]
[no-exit-message]
test *ARGS: setup
    @.venv/bin/pytest {{ if ARGS == "" { "--cov --numprocesses=4 --dist=loadfile" } else { '"$@"' } }}

# Runs the tests of the containers, which need a Docker engine.
[group('develop')]
[no-exit-message]
test-stack *ARGS: setup
    @.venv/bin/pytest -m stack tests/stack "$@"

# Runs the tests of fresh clones of other users, as root; `-m debian` is for other Debian systems.
[group('develop')]
[no-exit-message]
test-machines *ARGS: setup
    @.venv/bin/pytest -m machines --numprocesses=2 --dist=loadfile tests/machines "$@"

# Sends made-up requests to the service, valid and not; every answer must be as documented.
[group('develop')]
[no-exit-message]
fuzz: setup
    @.venv/bin/python -m tests.fuzz

# Measures the service and its peers; `--quick`, `--against COMMIT`, `overload`, `hostile`.
[group('develop')]
[no-exit-message]
bench *ARGS: setup
    @./just --setup .local/benchmarks requirements/benchmarks.txt
    @.local/benchmarks/bin/python -m benchmarks "$@"

# Strikes the running containers under load, as docs/operate.md shows; takes names of faults.
[group('develop')]
[no-exit-message]
faults *ARGS: setup
    @.venv/bin/python -m tests.stack.faults --long "$@"

# Checks format, lint, types, layers, contract, lock files and migrations; changes nothing.
[group('develop')]
[no-exit-message]
check: check-fast
    @.venv/bin/python -m local check-contract && .venv/bin/python -m local check-errors && .venv/bin/python -m local check-limits && .venv/bin/python -m local check-locks && .venv/bin/python -m local check-migrations

# Checks format, lint, types and layers: what pre-commit runs at each commit.
[group('develop')]
[no-exit-message]
check-fast: setup
    @.venv/bin/ruff format --check && .venv/bin/ruff check && .venv/bin/mypy
    @.venv/bin/pytest --quiet --no-header tests/test_layers.py

# Mends what `check` can mend by itself: format, lint, the documents of the contract, the errors and the limits.
[group('develop')]
[no-exit-message]
fix: setup
    @.venv/bin/ruff check --fix
    @.venv/bin/ruff format
    @.venv/bin/python -m local write-contract
    @.venv/bin/python -m local write-errors
    @.venv/bin/python -m local write-limits

# Recompiles the lock files; takes uv's options, such as --upgrade.
[group('develop')]
[no-exit-message]
lock *ARGS:
    @./just --version >/dev/null
    @uv run --quiet --no-project --python '>=3.11' -m local.locks "$@"
