"""What a command prints: one line for each step, rewritten in place on a terminal."""

import shutil
import sys
import time


class Progress:
    """`step` begins a step, `update` says how far it is, `done` ends it."""

    # Where the output is a file or a pipe, a step says at most this often how far it is.
    SECONDS_BETWEEN_LINES = 15.0

    def __init__(self, stream=None):
        self._stream = stream or sys.stdout
        self._terminal = self._stream.isatty()
        self._name = ""
        self._began = 0.0
        self._last_line = 0.0

    def step(self, name: str) -> None:
        self._name = name
        self._began = self._last_line = time.monotonic()

    def update(self, text: str) -> None:
        now = time.monotonic()
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write("\r\x1b[K" + self._format(text)[:width])
            self._stream.flush()
        elif now - self._last_line >= self.SECONDS_BETWEEN_LINES:
            self._last_line = now
            print(self._format(f"{text} ({now - self._began:.0f} s)"), file=self._stream, flush=True)

    def done(self, text: str) -> None:
        self.clear()
        print(self._format(f"{text} ({time.monotonic() - self._began:.1f} s)"), file=self._stream, flush=True)

    def say(self, text: str) -> None:
        self.clear()
        print(text, file=self._stream, flush=True)

    def clear(self) -> None:
        """Erases the line that is rewritten in place."""
        if self._terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _format(self, text: str) -> str:
        return f"{self._name:<12} {text}"
