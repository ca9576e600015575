"""The `parlor` command: what starts, stops and inspects an installation."""
