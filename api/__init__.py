"""The HTTP edge: FastAPI over the ``parlor.gateway.Gateway`` port, served by Ray Serve."""
