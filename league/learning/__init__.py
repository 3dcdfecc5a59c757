"""What improves agents: advantages, losses, the fused update, supervised warm-up."""
