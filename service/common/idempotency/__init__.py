"""Answers that are kept, so that a request can be repeated without being done twice."""
