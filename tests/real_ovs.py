"""A real Open vSwitch of one's own, as an oracle: ovsdb-server and ovs-vswitchd with dummy devices, in a folder, as no one else.

`with RealSwitch(folder) as ovs:` has a bridge br0 with ports p1 to p4; `ovs.ofctl("add-flow", "tcp,actions=1")` runs the real tool.
"""
import os
import shutil
import subprocess

PROGRAMS = ("ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ovs-ofctl", "ovs-vsctl", "ovs-appctl")
MISSING = next((name for name in PROGRAMS if shutil.which(name) is None), None)
REASON = f"{MISSING} is missing: install openvswitch-switch"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
PATIENCE = 30  # seconds


class RealSwitch:
    """The bridge br0 of an Open vSwitch that lives in a folder."""

    def __init__(self, folder, ports=4):
        self.folder, self.ports, self._running = str(folder), ports, []
        self._env = {**os.environ, **dict.fromkeys(("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR"), self.folder)}

    def __enter__(self):
        self.run("ovsdb-tool", "create", f"{self.folder}/conf.db", SCHEMA)
        database = f"unix:{self.folder}/db.sock"
        try:
            self._start("ovsdb-server", f"{self.folder}/conf.db", f"--remote=p{database}")
            self._start("ovs-vswitchd", database, "--enable-dummy=override", "--disable-system")
            settings = ["--", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy", "fail_mode=secure"]
            for n in range(1, self.ports + 1):
                settings += ["--", "add-port", "br0", f"p{n}", "--", "set", "interface", f"p{n}", "type=dummy", f"ofport_request={n}"]
            self.run("ovs-vsctl", f"--db={database}", "--timeout=20", *settings)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in reversed(self._running):
            self.run("ovs-appctl", "-t", f"{self.folder}/{name}.ctl", "exit", check=False)

    def _start(self, name, *arguments):
        self._running.append(name)
        ends = {"pidfile": "pid", "unixctl": "ctl", "log-file": "log"}
        self.run(name, *arguments, *(f"--{word}={self.folder}/{name}.{end}" for word, end in ends.items()), "--detach")

    def run(self, *words, check=True, stdin=None):
        """Run a program; what it prints."""
        done = subprocess.run(words, env=self._env, capture_output=True, text=True, timeout=PATIENCE, check=False, input=stdin)
        if check and done.returncode:
            raise RefusedError(done.stderr.strip())
        return done.stdout

    def ofctl(self, verb, *operands, options=()):
        """Run ovs-ofctl on br0; what it prints."""
        return self.run("ovs-ofctl", *options, verb, f"unix:{self.folder}/br0.mgmt", *operands)

    def flows(self, *options):
        """The lines of dump-flows without the header, sorted; durations and ages are left out."""
        lines = self.ofctl("dump-flows", options=options).splitlines()
        return sorted(without_times(line) for line in lines if not line.startswith(("NXST", "OFPST")))


class RefusedError(Exception):
    """The real tool or switch refused."""


def without_times(line):
    """A line of dump-flows without what depends on the moment."""
    return ", ".join(word for word in line.split(", ") if not word.startswith(("duration=", "idle_age=", "hard_age=")))
