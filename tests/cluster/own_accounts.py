"""Accounts for a Slurm of tests: a database and ``slurmdbd``, on the loopback interface, so that ``sacct`` answers."""

import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("slurmdbd", "sacctmgr", "mariadbd", "mariadb-install-db")
SLURM = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={socket}
"""
NO_ACCOUNTS = "AccountingStorageType=accounting_storage/none\n"
DAEMON = """\
AuthType=auth/munge
AuthInfo=socket={socket}
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm
"""
DATABASE = """\
CREATE DATABASE IF NOT EXISTS slurm;
CREATE USER IF NOT EXISTS slurm@'127.0.0.1' IDENTIFIED BY '{password}';
CREATE USER IF NOT EXISTS slurm@localhost IDENTIFIED BY '{password}';
GRANT ALL ON slurm.* TO slurm@'127.0.0.1';
GRANT ALL ON slurm.* TO slurm@localhost;
"""


def can_be_kept(path):
    """Whether all that it takes is installed."""
    return all(shutil.which(program, path=path) for program in PROGRAMS)


@dataclass(frozen=True)
class Accounts:
    """Where the database and its daemon are: files below `folder`, where Slurm's configuration lies, and ports."""

    folder: Path
    port: int
    database_port: int

    @property
    def slurm(self):
        """Lines of Slurm's configuration."""
        return SLURM.format(port=self.port, socket=self.folder / "munge.socket")

    def start_database(self, start, environment):
        """Make a database with a user of its own, and start it by ``start(name, *command)``."""
        data, first = self.folder / "database", self.folder / "first.sql"
        password = secrets.token_hex(16)
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}", "--skip-test-db"],
            env=environment,
            check=True,
            capture_output=True,
        )
        first.write_text(DATABASE.format(password=password))
        words = {"folder": self.folder, "socket": self.folder / "munge.socket", "port": self.port}
        daemon = self.folder / "slurmdbd.conf"
        daemon.write_text(DAEMON.format(**words, database_port=self.database_port, password=password))
        daemon.chmod(0o600)
        places = (f"--datadir={data}", f"--socket={self.folder}/mariadb.socket", f"--init-file={first}")
        reached = ("--bind-address=127.0.0.1", f"--port={self.database_port}")
        start("mariadbd", "mariadbd", "--no-defaults", "--user=root", *places, *reached)

    def register(self, environment):
        """Make the cluster known to the daemon; whether that was possible yet."""
        command = ["sacctmgr", "--immediate", "add", "cluster", "wkfast"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        return done.returncode == 0 or "already exists" in done.stdout
