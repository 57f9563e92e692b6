"""Whether ports are free, and who holds them."""

import socket
import subprocess

from rookery_local.errors import ClusterError
from rookery_local.layout import HOST, Name


def check_free(wanted: dict[Name, dict[str, int]]) -> None:
    taken = []
    for name, ports in wanted.items():
        for listener, port in ports.items():
            reason = _refused(port)
            if reason:
                taken.append(f"port {port} ({name} {listener}) {reason}")
    if taken:
        more = f", and {len(taken) - 1} more" if len(taken) > 1 else ""
        raise ClusterError(f"{taken[0]}{more}; choose others with --base-port")


def _refused(port: int) -> str:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            # Two listeners could both bind with SO_REUSEADDR; only one may listen.
            probe.listen(1)
        except PermissionError:
            return "needs root"
        except OSError as error:
            return f"is in use by {holder(port)}" if error.errno == 98 else error.strerror
    return ""


def holder(port: int) -> str:
    try:
        answer = subprocess.run(
            ["ss", "-Hltnp", f"sport = :{port}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ).stdout
    except FileNotFoundError:
        answer = ""
    if 'users:(("' in answer:
        program, rest = answer.split('users:(("', 1)[1].split('"', 1)
        return f"{program} (pid {rest.split('pid=')[1].split(',')[0]})"
    return "another process"
