"""Inputs of legal size that may be expensive for the service."""

from benchmarks.attacks.bodies import BODIES
from benchmarks.attacks.crowds import CROWDS
from benchmarks.attacks.heads import HEADS
from benchmarks.attacks.target import Input
from benchmarks.attacks.targets import TARGETS

INPUTS: list[Input] = [*HEADS, *TARGETS, *BODIES, *CROWDS]
