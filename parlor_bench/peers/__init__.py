"""Services that one would write or pick instead, to compare with in the same run."""
