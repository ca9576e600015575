"""The live store: Redis or Valkey. Every write is one Lua script; nothing else in Parlor speaks Redis."""
