"""The stack as local processes, and the chores that need more than a line of shell."""
