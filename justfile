# Each recipe works from a fresh clone: it makes .tools/ and .venv/ when they are missing or stale.

set positional-arguments

export JUST_COMMAND := env("JUST_COMMAND", "just")
export INVOCATION_DIRECTORY := invocation_directory()
export PATH := justfile_directory() / ".tools/bin" + ":" + env("PATH", "/usr/local/bin:/usr/bin:/bin")
# Values of another project could break Python; an empty value counts as unset.
export PYTHONHOME := ""
export PYTHONPATH := ""
# Whatever the locale.
export PYTHONUTF8 := "1"

# The tests take half as long again with coverage, which continuous integration measures.
coverage := if env("COVERAGE", "") == "1" { "--cov " } else { "" }

heading := "Usage: " + JUST_COMMAND + " COMMAND\n"

[private]
default:
    @{{ quote(just_executable()) }} --list --unsorted --list-heading {{ quote(heading) }}

# Creates .venv with everything for development, from the lock files.
[group('start')]
[no-exit-message]
setup:
    @./just --setup

# Turns a fresh clone into a project of your own, before anything else: `rename my-shop`.
[group('start')]
[no-exit-message]
rename name: setup
    @.venv/bin/python -m ops rename "$1"

# Starts the whole stack, waits until it is ready and prints its URL: `up local`, `up docker`, `up observe`.
[group('start')]
[no-exit-message]
up where="auto": setup
    @exec .venv/bin/python -m ops up "$1"

# Stops the whole stack; keeps the data.
[group('start')]
[no-exit-message]
down: setup
    @exec .venv/bin/python -m ops down

# Runs the service with reload on every change, on a migrated database.
[group('start')]
[no-exit-message]
serve: migrate
    @exec .venv/bin/python -m ops serve

# Shows the processes or containers and their status.
[group('look')]
[no-exit-message]
ps: setup
    @exec .venv/bin/python -m ops ps

# Says what is wrong with this machine or the stack, and what to do; changes nothing.
[group('look')]
[no-exit-message]
doctor:
    @# Not by `just`: its own set-up may be what fails.
    @exec ./just doctor

# Follows the logs of the stack.
[group('look')]
[no-exit-message]
logs: setup
    @exec .venv/bin/python -m ops logs

# Opens a SQL prompt on the database of the stack, or of DATABASE_URL; takes psql's options.
[group('look')]
[no-exit-message]
psql *ARGS: setup
    @exec .venv/bin/python -m ops psql "$@"

# Applies the migrations to the database of the stack, or of DATABASE_URL; `--force` if it has other tables.
[group('database')]
[no-exit-message]
migrate *OPTIONS: setup
    @.venv/bin/python -m ops migrate "$@"

# Writes a resource of your own with its tests and migration; alone, it explains itself.
[group('start')]
[no-exit-message]
blueprint *ARGS: setup
    @.venv/bin/python -m ops blueprint "$@"

# Adds a field to the records of a resource, with its tests and migration; alone, it explains itself.
[group('start')]
[no-exit-message]
field *ARGS: setup
    @.venv/bin/python -m ops field "$@"

# Removes such a resource; with a migration that drops its table, unless that was never committed.
[group('start')]
[no-exit-message]
blueprint-remove *ARGS: setup
    @.venv/bin/python -m ops blueprint-remove "$@"

# Creates a migration from the models.
[group('database')]
[no-exit-message]
revision message: setup
    @.venv/bin/python -m ops revision "$1"

# Prints the SQL that `migrate` would run, without running it.
[group('database')]
[no-exit-message]
migrate-sql: setup
    @.venv/bin/python -m ops migrate-sql

# Reverts the last migration.
[group('database')]
[no-exit-message]
downgrade: setup
    @.venv/bin/python -m ops downgrade

# Builds a new image and replaces the replicas one after another, without losing a request.
[group('operate')]
[no-exit-message]
deploy: setup
    @exec .venv/bin/python -m ops deploy

# Writes the data to a file.
[group('operate')]
[no-exit-message]
backup file: setup
    @.venv/bin/python -m ops backup "$1"

# Replaces the data by those of a file; `--force` if the database is another project's.
[group('operate')]
[no-exit-message]
restore file *OPTIONS: setup
    @.venv/bin/python -m ops restore "$@"

# Stores the records of a CSV or NDJSON file, all or none; if there are several collections, name one, such as `/book`.
[group('operate')]
[no-exit-message]
import file *COLLECTION: setup
    @.venv/bin/python -m ops import "$@"

# Writes the records to a CSV or NDJSON file; takes query parameters, such as `q=sql only=name,email`.
[group('operate')]
[no-exit-message]
export file *QUERY: setup
    @.venv/bin/python -m ops export "$@"

# Runs the tests, four files at a time, or those selected by pytest's arguments; COVERAGE=1 measures.
[group('develop')]
[no-exit-message]
test *ARGS: setup
    @.venv/bin/pytest {{ if ARGS == "" { coverage + "--numprocesses=5 --dist=loadfile" } else { '"$@"' } }}

# Runs the tests that take a feature away from a copy of the project, or rename one.
[group('develop')]
[no-exit-message]
test-copies *ARGS: setup
    @.venv/bin/pytest -m copies --numprocesses=2 --dist=loadfile tests/ops tests/socket "$@"

# Runs the tests of the service behind PgBouncer in transaction mode.
[group('develop')]
[no-exit-message]
test-pgbouncer *ARGS: setup
    @.venv/bin/pytest --pgbouncer --numprocesses=2 --dist=loadfile tests/integration tests/socket "$@"

# Runs the tests of the containers, which need a Docker engine.
[group('develop')]
[no-exit-message]
test-stack *ARGS: setup
    @.venv/bin/pytest -m stack tests/stack "$@"

# Runs the tests of fresh clones of other users, as root; `-m debian`: on other Debian systems.
[group('develop')]
[no-exit-message]
test-machines *ARGS: setup
    @.venv/bin/pytest -m machines --numprocesses=2 --dist=loadfile tests/machines "$@"

# Sends generated requests to the service, valid and invalid; every response must be as documented.
[group('develop')]
[no-exit-message]
fuzz: setup
    @.venv/bin/python -m tests.fuzz

# Measures the service and its peers; `--quick`, `--against COMMIT`, `overload`, `hostile`, `generate`.
[group('develop')]
[no-exit-message]
bench *ARGS: setup
    @./just --setup .local/benchmarks requirements/benchmarks.txt
    @.local/benchmarks/bin/python -m benchmarks "$@"

# Sends 10 000 requests with a fault each (10 minutes), then injects faults into the running containers; takes names of these.
[group('develop')]
[no-exit-message]
faults *ARGS: setup
    @{{ if ARGS == "" { ".venv/bin/pytest -m long tests/faults" } else { "true" } }}
    @.venv/bin/python -m tests.stack.faults --long "$@"

# Checks format, lint, types, layers, generated files, lock files and migrations; changes nothing.
[group('develop')]
[no-exit-message]
check: check-fast
    @.venv/bin/python -m ops check-contract && .venv/bin/python -m ops check-errors && .venv/bin/python -m ops check-limits && .venv/bin/python -m ops check-metrics && .venv/bin/python -m ops check-dashboard && .venv/bin/python -m ops check-picture && .venv/bin/python -m ops check-locks && .venv/bin/python -m ops check-migrations

# Checks format, lint, types and layers, for a pre-commit hook.
[group('develop')]
[no-exit-message]
check-fast: setup
    @.venv/bin/ruff format --check && .venv/bin/ruff check && .venv/bin/mypy
    @.venv/bin/pytest --quiet --no-header tests/test_layers.py

# Fixes format and lint, and regenerates docs/openapi.json, limits, errors, metrics, dashboard and the picture of packages.
[group('develop')]
[no-exit-message]
fix: setup
    @.venv/bin/ruff check --fix
    @.venv/bin/ruff format
    @.venv/bin/python -m ops write-contract
    @.venv/bin/python -m ops write-errors
    @.venv/bin/python -m ops write-limits
    @.venv/bin/python -m ops write-metrics
    @.venv/bin/python -m ops write-dashboard
    @.venv/bin/python -m ops write-picture

# Recompiles the lock files; takes uv's options, such as --upgrade.
[group('develop')]
[no-exit-message]
lock *ARGS:
    @./just --version >/dev/null
    @uv run --quiet --no-project --python '>=3.11' -m ops.checks.locks "$@"
