"""The stack in containers: compose, deployments, the Docker engine."""
