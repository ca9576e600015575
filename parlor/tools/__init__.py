"""Tools that models use: what a call is, whether it may be made, and making it."""
