"""The commands behind `just`, and the stack as local processes."""
