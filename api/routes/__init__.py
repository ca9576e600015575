"""One module for each group of routes; ``api.app`` includes them all."""
