"""Reading: history, lists of rooms, event streams, and loading what Redis does not have."""
