"""Signing in on the page by OpenID Connect: the authorization code flow with PKCE (ADR 0040)."""
