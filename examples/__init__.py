"""Small programs that talk to a running Parlor; all but one with nothing but Python's standard library."""
