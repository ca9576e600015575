"""The servers that `parlor up` starts as its own children."""
