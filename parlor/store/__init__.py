"""The permanent store: one port, MySQL/MariaDB and SQLite behind it."""
