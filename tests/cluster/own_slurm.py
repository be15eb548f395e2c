"""A Slurm of this machine alone, for tests: a controller and several nodes, which can fail, on the loopback interface.

A node is a ``slurmd`` with a host name, mounts and a ``/tmp`` of its own. That takes root.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.cluster.own_accounts import NO_ACCOUNTS, Accounts, can_be_kept

DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch", "unshare", "nsenter", "setpriv")
MOST_SECONDS_TO_START = 60
PROCESSORS, MEGABYTES = 16, 16000
# Partitions of two priorities, so that jobs of one push those of the other out; silent nodes are given up soon,
# steps that take more memory than they asked for are killed, and requeued jobs begin without two minutes of waiting.
CONFIGURATION = """\
ClusterName=wkfast
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
SlurmctldPort={port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=1
SlurmdTimeout=8
MessageTimeout=10
KillWait=3
MinJobAge=3600
MailProg=/bin/true
MpiDefault=none
DefMemPerCPU=100
"""
PARTITIONS = """\
PartitionName=main Nodes={nodes} Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes={nodes} MaxTime=INFINITE State=UP PriorityTier=100 PreemptMode=off
"""
NODE = """\
set -e
mount --make-rprivate /
hostname "$1"
readlink /proc/self/ns/uts > "$4"
mount --bind "$2" /etc/hosts
[ -z "$3" ] || mount -t tmpfs tmpfs /tmp
exec slurmd -D -N "$1"
"""


def why_none():
    """Why no Slurm can be started here."""
    if os.geteuid() != 0:
        return "only root can start a Slurm; SLURM_CONF names one that runs"
    missing = [name for name in DAEMONS if shutil.which(name, path=_path()) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


def _path():
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


class OwnSlurm:
    """Daemons and nodes; a context that ends them all. `shared` is a folder that nodes see as this machine does."""

    def __init__(self, shared, count=3):
        self.nodes = [f"n{number}" for number in range(1, count + 1)]
        # Short, as names of sockets have to be.
        self.folder = Path(tempfile.mkdtemp(prefix="wkfast-slurm-", dir="/run"))
        self.configuration = self.folder / "slurm.conf"
        self._own_tmp = "" if Path(shared).is_relative_to("/tmp") else "yes"
        self._daemons = {}
        # What `sacct` is asked for; without its programs Slurm keeps none.
        self._accounts = Accounts(self.folder, *_free_ports(2)) if can_be_kept(_path()) else None

    def __enter__(self):
        with ExitStack() as undone:
            undone.callback(self.stop)
            self._configure()
            key = ("--key-file", self.folder / "munge.key", "--seed-file", self.folder / "munge.seed")
            places = ("--socket", self.folder / "munge.socket", "--pid-file", self.folder / "munged.pid")
            self._start("munged", "munged", "--foreground", "--force", *key, *places)
            _until((self.folder / "munge.socket").exists, "munged")
            if self._accounts is not None:
                self._start_accounts(self._accounts)
            self._start("slurmctld", "slurmctld", "-D", "-i")
            for node in self.nodes:
                self.start_node(node)
            self._until_all_are_idle()
            undone.pop_all()
        return self

    def __exit__(self, *_error):
        self.stop()

    def _start_accounts(self, accounts):
        accounts.start_database(self._start, self._environment())
        _until(lambda: _answers(accounts.database_port), "mariadbd")
        self._start("slurmdbd", "slurmdbd", "-D")
        _until(lambda: accounts.register(self._environment()), "slurmdbd")

    def _environment(self):
        return {**os.environ, "PATH": _path(), "SLURM_CONF": str(self.configuration)}

    def _configure(self):
        (self.folder / "munge.key").write_bytes(secrets.token_bytes(128))
        (self.folder / "munge.key").chmod(0o400)
        (self.folder / "state").mkdir()
        hosts = "".join(f"127.0.0.1 {node}\n" for node in self.nodes)
        (self.folder / "hosts").write_text(Path("/etc/hosts").read_text() + hosts)
        port, *ports = _free_ports(1 + len(self.nodes))
        text = CONFIGURATION.format(host=socket.gethostname(), folder=self.folder, port=port)
        for node, own_port in zip(self.nodes, ports, strict=True):
            (self.folder / "spool" / node).mkdir(parents=True)
            size = f"CPUs={PROCESSORS} RealMemory={MEGABYTES}"
            text += f"NodeName={node} NodeHostname={node} NodeAddr=127.0.0.1 Port={own_port} {size} State=UNKNOWN\n"
        text += NO_ACCOUNTS if self._accounts is None else self._accounts.slurm
        self.configuration.write_text(text + PARTITIONS.format(nodes=",".join(self.nodes)))

    def _start(self, name, *command):
        # They end with this process even where it is killed.
        command = ["setpriv", "--pdeathsig", "TERM", *map(str, command)]
        with (self.folder / f"{name}.out").open("ab") as output:
            self._daemons[name] = subprocess.Popen(
                command,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def start_node(self, node):
        """Start a node, or one that failed anew."""
        bash = ("bash", "-c", NODE, "node", node, self.folder / "hosts", self._own_tmp, self._namespace(node))
        self._start(node, "unshare", "--uts", "--mount", *bash)

    def restore(self):
        """Start what failed, and wait until every node is of use."""
        for node in self.nodes:
            if node not in self._daemons:
                self.start_node(node)
        self._until_all_are_idle()

    def _until_all_are_idle(self):
        _until(lambda: self.states() == dict.fromkeys(self.nodes, "idle"), f"the nodes, see {self.folder}")

    def _namespace(self, node):
        return self.folder / f"{node}.namespace"

    def states(self):
        """What Slurm says of each node."""
        asked = subprocess.run(
            ["sinfo", "-h", "-N", "-p", "main", "-o", "%N %T"],
            env=self._environment(),
            capture_output=True,
            text=True,
        )
        return dict(line.split() for line in asked.stdout.splitlines())

    def in_node(self, node, *command):
        """Run a command with the mounts and the host name of a node."""
        among = ["nsenter", "--target", str(self._daemons[node].pid), "--mount", "--uts"]
        subprocess.run([*among, *map(str, command)], check=True)

    def fail(self, node):
        """End a node as a power cut does: nothing runs on, then everything is gone."""
        processes = self._processes(node)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in processes:
                with suppress(ProcessLookupError):
                    os.kill(process, number)
        self._daemons.pop(node).wait()

    def _processes(self, node):
        """The node's slurmd, steps of its jobs and all that they started: whatever has its host name."""
        own = self._namespace(node).read_text().strip()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if str((entry / "ns" / "uts").readlink()) == own:
                    found.append(int(entry.name))
        return found

    def stop(self):
        """End jobs, nodes and daemons."""
        for node in self.nodes:
            if node in self._daemons:
                self.fail(node)
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
        for daemon in self._daemons.values():
            daemon.wait()
        self._daemons.clear()
        shutil.rmtree(self.folder)


def _free_ports(count):
    with ExitStack() as open_until_all_are_known:
        sockets = [open_until_all_are_known.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _answers(port):
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _until(reached, what):
    end = time.monotonic() + MOST_SECONDS_TO_START
    while not reached():
        assert time.monotonic() < end, f"no answer from {what}"
        time.sleep(0.1)
