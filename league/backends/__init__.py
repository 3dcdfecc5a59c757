"""Who speaks: backends answer requests with replies. See league.types.Backend."""
