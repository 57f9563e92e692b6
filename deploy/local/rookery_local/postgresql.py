"""A PostgreSQL of its own: loopback TCP only, a user and a password for each service, data in the state."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from rookery_local import generated, processes, secret_files
from rookery_local.commands import run
from rookery_local.errors import ClusterError
from rookery_local.health import POSTGRESQL_BIN
from rookery_local.layout import HOST, Name, Options
from rookery_local.output import Progress
from rookery_local.paths import State

NAME = Name("postgresql", 1)
# The owner of everything, whom no service signs in as.
ADMIN = "rookery"
DATABASE = "rookery"
# Each with its own tables, and no sight of the others'.
USERS = ("session-manager", "roster", "muc")

SETTINGS = """\
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
max_connections = 150
shared_buffers = 64MB
fsync = on
synchronous_commit = on
logging_collector = off
log_line_prefix = '%m [%p] '
"""


def password_file(state: State, service: str) -> Path:
    return secret_files.path(state, f"postgresql-{service}")


def role(service: str) -> str:
    """The service's user, whose tables are in a schema of the same name."""
    return service.replace("-", "_")


def connection(options: Options, service: str) -> str:
    """libpq's keywords, without the password."""
    port = options.ports(NAME)["postgresql"]
    return f"host={HOST} port={port} dbname={DATABASE} user={role(service)}"


def prepare(state: State, options: Options, progress: Progress) -> None:
    if not Path(POSTGRESQL_BIN, "initdb").exists():
        raise ClusterError(f"there is no PostgreSQL 15 in {POSTGRESQL_BIN}")
    data = state.data / "postgresql"
    if not (data / "PG_VERSION").exists():
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(mode=0o700)
        _give_away(data)
        secret = data.with_name("postgresql.password")
        secret.touch(mode=0o600)
        secret.write_text(secret_files.read(state, "postgresql"))
        _give_away(secret)
        try:
            run(
                [*_as_user(data), f"{POSTGRESQL_BIN}/initdb", "-D", str(data), "-U", ADMIN, f"--pwfile={secret}",
                 "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"],
                "PostgreSQL's initdb",
                log=state.logs / "initdb.log",
                directory=Path("/"),
            )
        except BaseException:
            shutil.rmtree(data, ignore_errors=True)
            raise
        finally:
            secret.unlink(missing_ok=True)
    path = data / "rookery.conf"
    own = state.settings / "postgresql.conf"
    settings = SETTINGS.format(host=HOST, port=options.ports(NAME)["postgresql"])
    # Of a setting that stands there twice, PostgreSQL takes the later one.
    generated.write(path, settings + (own.read_text() if own.exists() else ""), [own], progress)
    _give_away(path)
    main = data / "postgresql.conf"
    include = "include = 'rookery.conf'\n"
    if include not in main.read_text():
        with open(main, "a") as file:
            file.write(include)


def start(state: State, options: Options) -> None:
    data = state.data / "postgresql"
    processes.start(
        state, NAME, [*_as_user(data), f"{POSTGRESQL_BIN}/postgres", "-D", str(data)], directory=Path("/")
    )


def create_database(state: State, options: Options) -> None:
    answer = _psql(state, options, "postgres", f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'")
    if answer.strip() != "1":
        _psql(state, options, "postgres", f"CREATE DATABASE {DATABASE}")
    if _psql(state, options, DATABASE, "SELECT to_regclass('public.schema_migrations')").strip():
        raise ClusterError(f"the tables in {state.data} belong to one user for all services, as they did before each had its "
                           "own; `deploy/local/cluster reset` begins anew")
    _psql(state, options, DATABASE, _rights(state))


def _rights(state: State) -> str:
    statements = [f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC", "REVOKE ALL ON SCHEMA public FROM PUBLIC"]
    for service in USERS:
        user = role(service)
        secret = secret_files.read(state, f"postgresql-{service}")
        statements += [
            f"DO $$ BEGIN IF to_regrole('{user}') IS NULL THEN CREATE ROLE {user}; END IF; END $$",
            f"ALTER ROLE {user} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '{secret}'",
            f"GRANT CONNECT ON DATABASE {DATABASE} TO {user}",
            # Where a user's tables are made unless it says otherwise: search_path begins with its own name.
            f"CREATE SCHEMA IF NOT EXISTS {user} AUTHORIZATION {user}",
        ]
    return "".join(f"{statement};\n" for statement in statements)


def _psql(state: State, options: Options, database: str, statements: str) -> str:
    """Statements come by standard input: everybody on the machine sees the words of a command."""
    answer = subprocess.run(
        ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", HOST, "-p", str(options.ports(NAME)["postgresql"]),
         "-U", ADMIN, "-d", database],
        env={**os.environ, "PGPASSWORD": secret_files.read(state, "postgresql"), "PGCONNECT_TIMEOUT": "10"},
        input=statements,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if answer.returncode != 0:
        raise ClusterError(f"PostgreSQL refused what makes users and tables: {(answer.stderr.strip().splitlines() or ['?'])[-1]}")
    return answer.stdout


# PostgreSQL does not run as root. Where root calls, it runs as the user `postgres`,
# whom Debian's package makes.
def _user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        raise ClusterError("PostgreSQL does not run as root, and there is no user `postgres`") from None


def _give_away(path: Path) -> None:
    user = _user()
    if user:
        os.chown(path, user.pw_uid, user.pw_gid)


def _as_user(data: Path) -> list[str]:
    user = _user()
    if user is None:
        return []
    command = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    if subprocess.run([*command, "test", "-x", str(data)]).returncode == 0:
        return command
    # The checkout lies below a directory that only its owner may enter (/root, a home).
    # One capability opens the way, and no more than the way where the kernel lets us choose.
    for capability in ("dac_read_search", "dac_override"):
        able = [*command, f"--inh-caps=+{capability}", f"--ambient-caps=+{capability}"]
        # Not `test -x`: access(2) leaves capabilities out.
        if subprocess.run([*able, "ls", str(data)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
            return able
    raise ClusterError(f"the user `postgres` has no way to {data}; put the state elsewhere with --state")
