import contextlib
import fcntl
import time
from pathlib import Path

from rookery_local.errors import ClusterError
from rookery_local.output import Progress


@contextlib.contextmanager
def exclusive(path: Path, progress: Progress, seconds: float = 1800):
    """Holds the lock file, waiting for another command that holds it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a")
    except OSError as error:
        raise ClusterError(f"cannot write {path}: {error.strerror}") from error
    with file:
        deadline = time.monotonic() + seconds
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    progress.say("another command is at work here; waiting for it to finish")
                    told = True
                if time.monotonic() > deadline:
                    raise ClusterError(f"another command has held {path} for too long") from None
                time.sleep(0.2)
        yield
