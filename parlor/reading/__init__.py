"""What readers get: history, lists of rooms, streams of events, and loading what Redis does not have."""
