"""MirrorMaker 2 as a process here: Java, and its jars from Maven Central."""

from pathlib import Path

from connectors.embedded import java
from connectors.embedded.choice import Say
from connectors.embedded.server import Leashed, leashed

GRACE_S = 10.0
# Its three connectors are always started, the one that we have no use for, too, which it then complains about once.
LOG4J = """<Configuration status="warn">
  <Appenders>
    <Console name="out"><PatternLayout pattern="%d %p %m (%c)%n"/></Console>
  </Appenders>
  <Loggers>
    <Root level="info">
      <RegexFilter regex="Failed to configure MirrorCheckpointConnector .*" onMatch="DENY" onMismatch="NEUTRAL"/>
      <AppenderRef ref="out"/>
    </Root>
  </Loggers>
</Configuration>
"""
MAIN = "org.apache.kafka.connect.mirror.MirrorMaker"


def start(folder: Path, properties: str, here: str, say: Say) -> Leashed:
    """Start it for the cluster `here`, with its properties and its log in `folder`.

    Raises:
        UnavailableError: there is no Java, or the jars cannot be fetched.

    """
    command, _ = java.java()
    if not java.cached(java.MIRROR):
        say(f"fetching MirrorMaker {java.KAFKA_VERSION} from Maven Central (once)")
    run = [command, "-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"]
    run += ["-Dlog4j2.configurationFile=log4j2.xml", "-cp", f"{java.jars(java.MIRROR)}/*"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log4j2.xml").write_text(LOG4J, encoding="utf-8")
    (folder / "mirror.properties").write_text(properties, encoding="utf-8")
    run += [MAIN, "mirror.properties", "--clusters", here]
    return leashed(run, folder=folder, log=folder / "mirror.log", grace_s=GRACE_S)
