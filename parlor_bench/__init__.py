"""Benchmarks. Figures count only as ratios taken in one run: client and servers share the machine."""
