"""One module per group of endpoints; each handler is thin and documents itself."""
