"""tests/run: installs, builds, runs every kind of test, and counts."""
