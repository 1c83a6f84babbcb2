"""The stack as local processes under supervisor."""
