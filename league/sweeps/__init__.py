"""Many runs of one config: every combination of settings with every seed."""
