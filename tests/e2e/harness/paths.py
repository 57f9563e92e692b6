from pathlib import Path

SOURCE = Path(__file__).resolve().parents[3]
E2E = SOURCE / "tests" / "e2e"
CLUSTER = SOURCE / "deploy" / "local" / "cluster"
NODE_MODULES = SOURCE / ".local" / "deps" / "node" / "node_modules"
