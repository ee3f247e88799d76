"""Real servers behind TLS, with certificates of the test's own authority, and users of their own."""

import base64
import time
import uuid
from pathlib import Path

import psycopg
import redis
import trustme
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from cryptography.hazmat.primitives import serialization
from psycopg.conninfo import make_conninfo

from connectors.embedded import account, java, kafka, ports, postgres, valkey
from connectors.embedded.server import Server, UnavailableError, leashed, output_of, until_ready

ADMIN, PASSWORD = "admin", "admin-secret"


class Authority:
    """Makes certificates, and writes them where servers and clients look for them."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self._folder = folder
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        self.file = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.file))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Give the files of a certificate for this machine, and its key (PKCS #8)."""
        issued = self._authority.issue_cert("127.0.0.1", "localhost", common_name=name)
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.write_bytes(b"".join(one.bytes() for one in issued.cert_chain_pems))
        loaded = serialization.load_pem_private_key(issued.private_key_pem.bytes(), password=None)
        key.touch(mode=0o600)
        key.write_bytes(
            loaded.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, key


def start_kafka(folder: Path, authority: Authority, users: dict[str, str]) -> Server:
    """Start Apache Kafka that takes TLS and SCRAM alone, and does nothing that no access list allows.

    Raises:
        UnavailableError: there is no Java.

    """
    command, _ = java.java()
    run = [command, "-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"]
    run += ["-Dlog4j2.configurationFile=log4j2.yaml", "-cp", f"{java.jars(java.BROKER)}/*"]
    folder.mkdir(parents=True)
    client, controller = ports.kept(folder, "client", "controller")
    certificate, key = authority.issue("kafka")
    keystore = folder / "server.pem"
    keystore.write_bytes(key.read_bytes() + certificate.read_bytes())
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{ports.LOOPBACK}:{controller}",
        "listeners": f"SASL_SSL://{ports.LOOPBACK}:{client},CONTROLLER://{ports.LOOPBACK}:{controller}",
        "advertised.listeners": f"SASL_SSL://{ports.LOOPBACK}:{client}",
        "listener.security.protocol.map": "SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "SASL_SSL",
        "controller.listener.names": "CONTROLLER",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (f'{scram} username="{ADMIN}" password="{PASSWORD}";'),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keystore),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.file),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{ADMIN};User:ANONYMOUS",
        "log.dirs": str(folder / "data"),
        "auto.create.topics.enable": "false",
        "offsets.topic.num.partitions": "2",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "log.cleaner.dedupe.buffer.size": "16777216",
    }
    (folder / "log4j2.yaml").write_text(kafka.LOG4J, encoding="utf-8")
    file = folder / "server.properties"
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
    cluster = base64.urlsafe_b64encode(b"tg" + uuid.uuid4().bytes[2:]).decode().rstrip("=")
    known = [
        part
        for name, password in {ADMIN: PASSWORD, **users}.items()
        for part in ("--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]")
    ]
    tool = ["kafka.tools.StorageTool", "format", "--config", str(file), "--cluster-id", cluster, *known]
    said = output_of([*run, *tool], timeout_s=60)
    log = folder / "server.log"
    process = leashed([*run, "kafka.Kafka", "server.properties"], folder=folder, log=log, grace_s=20.0)
    address = f"{ports.LOOPBACK}:{client}"

    def answers() -> bool:
        try:
            return bool(admin(address, authority).list_topics(timeout=2.0).brokers)
        except KafkaException:
            return False

    until_ready(f"Apache Kafka ({said.strip()[-200:]})", process, answers, 60.0)
    return Server(kafka.APACHE, address, java.KAFKA_VERSION, "Apache Kafka with TLS", folder, log, (process,))


def admin(address: str, authority: Authority) -> AdminClient:
    return AdminClient(
        {
            "bootstrap.servers": address,
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": ADMIN,
            "sasl.password": PASSWORD,
            "ssl.ca.location": str(authority.file),
            "log_level": 0,
        }
    )


def start_postgres(folder: Path, authority: Authority) -> Server:
    """Start PostgreSQL with TLS.

    Raises:
        UnavailableError: none is installed that has it: the wheel's has not.

    """
    server = postgres._installed(folder, lambda _: None)  # noqa: SLF001  # never Docker, never the wheel
    certificate, key = authority.issue("postgres")
    place, runner = server.data_dir or folder, account.unprivileged()
    files = []
    for file in (certificate, key):
        copy = place / file.name
        copy.touch(mode=0o600)
        copy.write_bytes(file.read_bytes())
        if runner is not None:
            runner.owns(copy)
        files.append(str(copy.resolve()))
    with psycopg.connect(server.address, autocommit=True) as connection:
        try:
            for name, value in zip(("ssl_cert_file", "ssl_key_file", "ssl"), (*files, "on"), strict=True):
                connection.execute(f"alter system set {name} = '{value}'".encode())
            connection.execute("select pg_reload_conf()")
        except psycopg.Error as error:
            server.stop()
            raise UnavailableError(f"PostgreSQL without TLS: {error}") from error
    url = make_conninfo(server.address, sslmode="verify-full", sslrootcert=str(authority.file))
    deadline = time.monotonic() + 20
    while not _encrypted(url):
        if time.monotonic() > deadline:
            server.stop()
            raise UnavailableError("PostgreSQL does not begin to speak TLS")
        time.sleep(0.1)
    return Server(server.kind, url, server.version, server.how, server.data_dir, server.log, server.held)


def _encrypted(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            return connection.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone() == (True,)
    except psycopg.OperationalError:
        return False


def start_redis(folder: Path, authority: Authority) -> Server:
    """Start Redis or Valkey with TLS and a client certificate that it asks for; the plain port is closed.

    Raises:
        UnavailableError: none is installed that has it: the wheel's has not.

    """
    server = valkey._installed(folder, lambda _: None)  # noqa: SLF001  # never Docker, never the wheel
    certificate, key = authority.issue("redis")
    port = ports.free()
    with redis.Redis.from_url(server.address) as client:
        try:
            client.config_set("tls-cert-file", str(certificate))
            client.config_set("tls-key-file", str(key))
            client.config_set("tls-ca-cert-file", str(authority.file))
            client.config_set("tls-auth-clients", "yes")
            client.config_set("tls-port", str(port))
        except redis.ResponseError as error:
            server.stop()
            raise UnavailableError(f"Redis without TLS: {error}") from error
        client.config_set("port", "0")
    url = f"rediss://{ports.LOOPBACK}:{port}/0"
    return Server(server.kind, url, server.version, server.how, server.data_dir, server.log, server.held)
