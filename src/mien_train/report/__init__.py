"""Reports of an evaluation: text for the terminal, or an HTML page with plots."""
