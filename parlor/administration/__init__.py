"""What operators do to an installation, whichever way they come in."""
