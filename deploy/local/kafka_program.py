"""The program of Apache Kafka: fetched by Maven, once, and run by Java."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

VERSION = "4.1.2"
SCALA = "2.13"
LOG4J = "2.25.3"   # api, core and binding must be of one version
COPIER = "3.8.1"   # maven-dependency-plugin
JAVA = 17          # the least that Kafka 4 brokers run on
FETCH_S = 900      # for Maven

POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>kafka</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencyManagement><dependencies>{pinned}</dependencies></dependencyManagement>
  <dependencies>{wanted}</dependencies>
</project>
"""
DEPENDENCY = (
    "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"
)


class Fault(Exception):  # noqa: N818 - a word for people
    """Something is wrong that the text explains."""


def tell(text: str) -> None:
    """Progress, for people."""
    print(f"kafka: {text}", file=sys.stderr, flush=True)


def cache() -> Path:
    """Where the program is kept between runs."""
    return Path(os.environ.get("TOCSIN_CACHE") or Path.home() / ".cache" / "tocsin") / "kafka"


@dataclass(frozen=True)
class Program:
    """What nodes are run with. `archive` holds Java's classes as they lie in memory: with it, nodes
    start in a third of the time. It is made by the first node that ends as it was asked to."""

    java: str
    jars: Path
    archive: Path

    def command(self, folder: Path, heap_mb: int, *options: str) -> list[str]:
        """How a program of Kafka's is run that logs into `folder`; its memory is bounded."""
        shared = [f"-XX:SharedArchiveFile={self.archive}"] if self.archive.exists() else []
        return [
            self.java, "-Xms64m", f"-Xmx{heap_mb}m", "-XX:MaxDirectMemorySize=256m",
            "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
            "-XX:+ExitOnOutOfMemoryError", *shared, "-Xlog:cds=off", "-Xlog:cds+dynamic=off",
            "-Djava.awt.headless=true", f"-Dtocsin.node={folder}",
            f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}",
            *options, "-cp", f"{self.jars}/*",
        ]  # fmt: skip

    def adopt(self, made: Path) -> None:
        """Keeps the archive that a node made, unless there is one."""
        if made.exists() and not self.archive.exists():
            with tempfile.TemporaryDirectory(dir=self.archive.parent) as new:
                shutil.copyfile(made, Path(new) / "classes").replace(self.archive)


def program(version: str) -> Program:
    """The program of a version, fetched if need be."""
    found, build = java()
    jars = installed(version)
    return Program(found, jars, jars.with_name(f"{version}-java-{build}.classes"))


def java() -> tuple[str, str]:
    """The path and the build of a Java that is new enough."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    fix = f"install Java {JAVA} or newer (Debian, Ubuntu: apt install openjdk-17-jre-headless)"
    if found is None:
        raise Fault(f"no java in {f'JAVA_HOME={home}' if home else 'PATH'}; {fix}")
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA:
        raise Fault(f"{found} is Java {version[1] if version else 'of an unknown version'}; {fix}")
    return found, hashlib.sha256(said.encode()).hexdigest()[:12]


def installed(version: str) -> Path:
    """The folder with the jars of a version, fetched if need be."""
    home = cache() / version
    if home.is_dir():
        return home
    maven = shutil.which("mvn")
    if maven is None:
        raise Fault(f"Kafka {version} is not in {cache()} and mvn, which would fetch it, is not "
                    "in PATH; install Maven (Debian, Ubuntu: apt install maven)")
    tell(f"fetching Apache Kafka {version} (about 45 MB, once)")
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="new-", dir=cache()) as new:
        fetch(maven, version, Path(new))
        with contextlib.suppress(OSError):  # another one was quicker
            (Path(new) / "jars").rename(home)
    return home


def fetch(maven: str, version: str, folder: Path) -> None:
    """Lets Maven copy the jars of a version into `folder`/jars."""
    log4j = "org.apache.logging.log4j"
    pinned = [(log4j, "log4j-api", LOG4J), (log4j, "log4j-core", LOG4J)]
    wanted = [("org.apache.kafka", f"kafka_{SCALA}", version), (log4j, "log4j-slf4j-impl", LOG4J)]
    (folder / "pom.xml").write_text(POM.format(
        pinned="".join(DEPENDENCY.format(*one) for one in pinned),
        wanted="".join(DEPENDENCY.format(*one) for one in wanted),
    ))  # fmt: skip
    command = [
        maven, "--quiet", "--batch-mode", "--no-transfer-progress", "--strict-checksums",
        f"org.apache.maven.plugins:maven-dependency-plugin:{COPIER}:copy-dependencies",
        "-DincludeScope=runtime", f"-DoutputDirectory={folder / 'jars'}",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, text=True, timeout=FETCH_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Fault(f"Maven did not finish within {FETCH_S} s; is the network there?") from None
    if done.returncode or not (folder / "jars" / f"kafka_{SCALA}-{version}.jar").is_file():
        said = "\n".join(f"  {line}" for line in done.stdout.splitlines()[-15:])
        raise Fault(f"Maven could not fetch kafka_{SCALA}:{version}; it said\n{said}")
