"""Small programs that talk to a running Parlor, with nothing but Python's standard library."""
