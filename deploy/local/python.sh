# Sourced: sets PYTHON to a Python 3.11 or newer, and installs Debian's where there is none.
PYTHON=
for candidate in /usr/bin/python3 "$(command -v python3 || true)"; do
  if [ -x "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
    PYTHON=$candidate
    break
  fi
done
if [ -z "$PYTHON" ]; then
  if ! command -v apt-get > /dev/null; then
    echo "error: Python 3.11 or newer is missing, and this is no Debian that could install it" >&2
    exit 1
  fi
  echo "python     installing Debian's python3"
  as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo > /dev/null || { echo "error: python3 is missing and there is no sudo to install it with" >&2; exit 1; }
    as_root=(sudo)
  fi
  log=$(mktemp)
  if ! { "${as_root[@]}" apt-get update -q && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3; } > "$log" 2>&1 < /dev/null; then
    tail -n 5 "$log" >&2
    echo "error: python3 cannot be installed (the lines above are apt-get's)" >&2
    rm -f "$log"
    exit 1
  fi
  rm -f "$log"
  PYTHON=/usr/bin/python3
fi
