"""Commands that write code: a project's own name."""
