"""What is wrong with this machine or the stack, and what to do: `just doctor`.

It changes nothing, and prints no secret.
"""
