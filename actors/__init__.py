"""Ray actors: thin shells around the domain. ``contracts`` first."""
