"""A Rookery cluster on one machine: installs, builds, starts, watches and stops it."""
