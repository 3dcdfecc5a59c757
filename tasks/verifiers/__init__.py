"""Environments of the `verifiers` library as tasks: the match, and the process in which an environment runs."""
