class ClusterError(Exception):
    """What went wrong, in one line for the person who typed the command."""
