"""The check of a running installation, and its repairs."""
