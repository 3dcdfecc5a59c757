"""Environments of the `verifiers` library as tasks: the match, and an environment's process."""
