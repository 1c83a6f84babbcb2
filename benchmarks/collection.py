"""The collection that benchmarks measure; wrk.lua and the peers have its name and fields too."""

TABLE = "foss"
PATH = f"/{TABLE}"
# As it is sent.
TARGET = PATH.encode()
