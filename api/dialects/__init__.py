"""Other programs' dialects of the API: how Parlor's events and errors are written in each, and requests read.

The functions and classes here know nothing of HTTP, Redis or rooms: a Parlor event in, bytes out.
"""
