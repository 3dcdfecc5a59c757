"""Two agents write a helper and a main function; the sandbox grades them."""
