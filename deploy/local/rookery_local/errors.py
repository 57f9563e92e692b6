class ClusterError(Exception):
    """What went wrong, in a line for the person who typed the command."""


class UsageError(ClusterError):
    """The command line asks for what cannot be."""
