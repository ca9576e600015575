"""The servers that `parlor up` starts as children of the launcher."""
