"""Two agents write two texts that belong together; the reward compares them."""
