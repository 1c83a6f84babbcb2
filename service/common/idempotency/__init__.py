"""Idempotency keys: stored responses, so that a request can be repeated safely."""
