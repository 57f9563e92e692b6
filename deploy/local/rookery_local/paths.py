"""Where things lie. Everything that is made goes below .local/, which git ignores."""

import os
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[3]
TOOLS = SOURCE / "deploy" / "local"
LOCAL = SOURCE / ".local"
DEPS = LOCAL / "deps"
KAFKA_JARS = DEPS / "kafka"
BUILD = LOCAL / "build"
DEFAULT_STATE = LOCAL / "cluster"


class State:
    """The directory of one cluster."""

    def __init__(self, root: Path):
        self.root = Path(os.path.abspath(root))
        self.options = self.root / "cluster.json"
        # Not inside: `reset` deletes the directory while it holds the lock.
        self.lock = LOCAL / "locks" / (str(self.root).strip("/").replace("/", "-")[-200:] + ".lock")
        self.run = self.root / "run"
        self.logs = self.root / "logs"
        self.config = self.root / "config"
        # A developer's own, which win over what is in config/; nothing but `up` and `restart` reads them.
        self.settings = self.root / "settings"
        self.data = self.root / "data"
        self.certificates = self.root / "certificates"
        self.secrets = self.root / "secrets"

    def make(self) -> None:
        """Nobody but its user can read what is in it: addresses, messages, keys."""
        # PostgreSQL's user, where root calls, has its data below these, and may pass.
        passable = 0o711 if os.geteuid() == 0 else 0o700
        if not self.root.exists():
            self.root.mkdir(parents=True)
            self.root.chmod(passable)
        # One that was there is somebody's already, and keeps its mode.
        self.data.mkdir(exist_ok=True)
        self.data.chmod(passable)
        own = (self.run, self.logs, self.config, self.settings, self.certificates, self.secrets, self.data / "kafka", self.data / "redis")
        for directory in own:
            directory.mkdir(exist_ok=True)
            directory.chmod(0o700)
