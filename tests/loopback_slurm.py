"""A Slurm cluster of several nodes on this machine: real daemons, in a folder, until it is left.

Needs Debian's packages `slurm-wlm` and `munge`, and to be root or a user of one's own, whose jobs
then run as that user.
"""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PROGRAMS = (
    *("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo"),
    "setpriv",
)
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
NODE_NAME = "SLURMD_NODENAME"
WAIT = 180.0  # seconds for daemons to do anything at all

CONFIGURATION = """\
ClusterName=loopback
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0
JobRequeue=1
ReturnToService=2
SlurmdTimeout=5
KillWait=5
InactiveLimit=0
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs=1 State=UNKNOWN"


def missing() -> list[str]:
    """The programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]


@dataclass
class Cluster:
    """A cluster that runs. environment: what its commands need."""

    folder: Path
    environment: dict[str, str]
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def ask(self, *words: str) -> str:
        """Run a command of Slurm's, and return what it prints."""
        environment = os.environ | self.environment
        return subprocess.run(
            words, env=environment, capture_output=True, text=True, check=True, timeout=WAIT
        ).stdout

    def start(self, name: str, *words: str) -> None:
        """Start a daemon, in a session of its own."""
        environment = os.environ | self.environment
        with (self.folder / f"{name}.out").open("wb") as log:
            self.daemons[name] = subprocess.Popen(
                # However this process ends, the daemon ends with it.
                ["setpriv", "--pdeathsig", "KILL", *words],
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    def kill_node(self, name: str) -> None:
        """Kill a node as a power cut would: its daemon and every process of its jobs, at once."""
        tasks = [pid for pid in self._processes() if _variables(pid).get(NODE_NAME) == name]
        # What watches over a job's processes, and would tell of their end, goes before them.
        watching = {_parent(pid) for pid in tasks} & set(self._processes())
        self.daemons[name].kill()
        for pid in (*watching, *tasks):
            _kill(pid)
        self.daemons.pop(name).wait(WAIT)

    def stop(self) -> None:
        """End all daemons, jobs and commands."""
        for process in self.daemons.values():
            process.kill()
        for process in self.daemons.values():
            process.wait(WAIT)
        for pid in self._processes():
            _kill(pid)

    def _processes(self) -> list[int]:
        """The processes that began with this cluster's configuration, and no others."""
        every = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        configuration = self.environment["SLURM_CONF"]
        return [pid for pid in every if _variables(pid).get("SLURM_CONF") == configuration]


@contextmanager
def cluster(folder: Path, nodes: int) -> Iterator[Cluster]:
    """A cluster of nodes n0, n1, ..., each of which says that it has one core."""
    ports = _free_ports(1 + nodes)
    names = [NODE.format(name=f"n{place}", port=port) for place, port in enumerate(ports[1:])]
    (folder / "state").mkdir(parents=True)
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    (folder / "munge.key").chmod(0o400)
    values = {"folder": folder, "user": getpass.getuser(), "ports": ports}
    text = CONFIGURATION.format(nodes="\n".join(names), **values)
    (folder / "slurm.conf").write_text(text, encoding="utf-8")
    made = Cluster(folder, {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": PATH})
    try:
        files = {"key-file": "key", "socket": "sock", "pid-file": "pid", "seed-file": "seed"}
        options = [f"--{option}={folder}/munge.{suffix}" for option, suffix in files.items()]
        log = f"--log-file={folder}/munge.log"
        made.start("munged", "munged", "--foreground", "--force", *options, log)
        wait_until((folder / "munge.sock").exists, "munged has no socket")
        made.start("slurmctld", "slurmctld", "-D")
        for place in range(nodes):
            made.start(f"n{place}", "slurmd", "-D", "-N", f"n{place}")
        wait_until(lambda: _idle(made) == nodes, "the nodes do not come up")
        yield made
    finally:
        made.stop()


def wait_until(condition: Callable[[], bool], otherwise: str, seconds: float = WAIT) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, otherwise
        time.sleep(0.1)


def _idle(made: Cluster) -> int:
    try:
        return made.ask("sinfo", "--noheader", "--Node", "--format=%T").split().count("idle")
    except subprocess.SubprocessError:
        return 0


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _parent(pid: int) -> int:
    """The process that started another; 0 for one that is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _variables(pid: int) -> dict[str, str]:
    """The environment that a process began with; empty for one that is gone, or another's."""
    try:
        data = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (item.partition("=") for item in data.decode(errors="replace").split("\0"))
    return {name: value for name, _, value in pairs}


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
