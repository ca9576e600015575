"""The measures: each module has those of one subject, named after the targets in docs/PERFORMANCE.md."""
