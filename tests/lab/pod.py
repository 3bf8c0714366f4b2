# SPDX-License-Identifier: ISC
"""What a node does with a pod, without an engine: the containers of a
manifest, run by an OCI runtime (crun) out of our own image.

    image = Image(directory)               # what `make image` left
    with Pod(lab, ns, spec, image, {config map: {file: text}}) as pod:
        pod.up()                           # in the order of a node
        pod.probe("postern")               # (True, "postern[1]: ready: ...")

User, capabilities, seccomp profile, read-only root, volumes and arguments are
those that the manifest says; the network is the namespace that is given, one
for all of them.  A sandbox process holds the rest: with it everything in the
pod ends.
"""

import contextlib
import hashlib
import json
import os
import subprocess
import tarfile
import time

from lab.netns import Lines

# RuntimeDefault: podman's and CRI-O's, which is Docker's with little added.
_PROFILE = os.path.abspath(os.path.join(
    os.path.dirname(__file__),
    "../../build/lab/seccomp/usr/share/containers/seccomp.json"))
# What a container may do that says nothing of its capabilities.
DEFAULT_CAPABILITIES = (
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL",
    "MKNOD", "NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP",
    "SETUID", "SYS_CHROOT")
_MASKED = ("/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys",
           "/proc/latency_stats", "/proc/scsi", "/proc/timer_list",
           "/sys/firmware")
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
              "/proc/sysrq-trigger")


class Image:
    """An OCI layout, its layers unpacked one over the other."""

    def __init__(self, layout, directory):
        self._layout = layout
        with open(f"{layout}/index.json", encoding="ascii") as file:
            manifest, = json.load(file)["manifests"]
        self.manifest = json.loads(self.blob(manifest))
        self.config = json.loads(self.blob(self.manifest["config"]))
        self.root = f"{directory}/root"
        os.mkdir(self.root)
        for layer, whole in zip(self.manifest["layers"],
                                self.config["rootfs"]["diff_ids"]):
            self.blob(layer)
            path = f"{directory}/layer.tar"
            with open(path, "wb") as out:
                subprocess.run(["gzip", "-dc", self._path(layer)],
                               check=True, stdout=out)
            assert whole == "sha256:" + _sha256(path)
            with tarfile.open(path) as archive:
                archive.extractall(self.root)
            os.unlink(path)

    def _path(self, descriptor):
        kind, digest = descriptor["digest"].split(":")
        return f"{self._layout}/blobs/{kind}/{digest}"

    def blob(self, descriptor):
        """Its bytes, which must be what the descriptor says."""
        path = self._path(descriptor)
        assert descriptor["digest"] == "sha256:" + _sha256(path)
        with open(path, "rb") as file:
            data = file.read()
        assert len(data) == descriptor["size"]
        return data


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seccomp(profile, capabilities):
    """The default profile of runtimes, for these capabilities, as a runtime
    wants it."""
    rows = []
    for row in profile["syscalls"]:
        needed = row.get("includes", {})
        if (not set(needed.get("caps", ())) <= capabilities
                or set(row.get("excludes", {}).get("caps", ()))
                & capabilities
                or needed.get("arches", ["amd64"]) != ["amd64"]
                and "amd64" not in needed["arches"]
                or "amd64" in row.get("excludes", {}).get("arches", ())):
            continue
        made = {"names": row["names"], "action": row["action"]}
        if row.get("args"):
            made["args"] = row["args"]
        if "errnoRet" in row and row["action"] == "SCMP_ACT_ERRNO":
            made["errnoRet"] = row["errnoRet"]
        rows.append(made)
    return {"defaultAction": profile["defaultAction"],
            "defaultErrnoRet": profile.get("defaultErrnoRet", 1),
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86",
                              "SCMP_ARCH_X32"],
            "syscalls": rows}


class Pod:
    """One network, its volumes, and the containers that run."""

    def __init__(self, lab, ns, spec, image, files):
        """files: {config map: {name: text}}"""
        self.ns = ns
        self.spec = spec
        self.image = image
        self.directory = lab.directory_for("pod")
        self.logs = {}
        self.processes = {}
        with open(_PROFILE, encoding="utf-8") as file:
            self._profile = json.load(file)
        self._volumes = {volume["name"]: self._make_volume(volume, files)
                         for volume in spec.get("volumes", ())}
        self._sandbox = ns.start(
            "unshare", "--mount", "--pid", "--ipc", "--uts", "--fork",
            "--kill-child=KILL", "--mount-proc", "--propagation", "private",
            "--", "/bin/sh", "-ec",
            "mount -t tmpfs none /sys/fs/cgroup; echo up; exec sleep infinity",
            stdout=subprocess.PIPE)
        self._sandbox.popen.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def close(self):
        """Ends all that runs in it."""
        self._sandbox.stop()
        for process in self.processes.values():
            process.stop()
        self._sandbox.popen.stdout.close()

    def container(self, name):
        """What the manifest says of it."""
        found, = (one for kind in ("initContainers", "containers")
                  for one in self.spec.get(kind, ()) if one["name"] == name)
        return found

    def volume(self, name):
        """Its folder."""
        return self._volumes[name]

    def _make_volume(self, volume, files):
        path = f"{self.directory}/volume-{volume['name']}"
        os.mkdir(path)
        if "emptyDir" in volume:
            os.chmod(path, 0o777)
        elif "configMap" in volume:
            for name, text in files[volume["configMap"]["name"]].items():
                with open(f"{path}/{name}", "w", encoding="utf-8") as file:
                    file.write(text)
        return path

    def _capabilities(self, context):
        wish = context.get("capabilities", {})
        have = set(DEFAULT_CAPABILITIES)
        if "ALL" in wish.get("drop", ()):
            have = set()
        have = have - set(wish.get("drop", ())) | set(wish.get("add", ()))
        return sorted("CAP_" + name for name in have)

    def _process(self, container, arguments=None):
        """The process of a runtime's configuration."""
        context = container["securityContext"]
        user, group = context["runAsUser"], context["runAsGroup"]
        assert not (context["runAsNonRoot"] and user == 0)
        held = self._capabilities(context)
        # A node gives capabilities to root alone, and nobody inherits any.
        own = held if user == 0 else []
        return {
            "user": {"uid": user, "gid": group},
            "args": arguments or (
                container.get("command",
                              self.image.config["config"]["Entrypoint"])
                + container.get("args", self.image.config["config"]["Cmd"])),
            "env": self.image.config["config"]["Env"],
            "cwd": self.image.config["config"]["WorkingDir"],
            "noNewPrivileges":
                not context.get("allowPrivilegeEscalation", True),
            "capabilities": {"bounding": held, "effective": own,
                             "permitted": own, "inheritable": [],
                             "ambient": []},
        }

    def _runtime(self, container):
        context = container["securityContext"]
        held = set(self._capabilities(context))
        binds = [{"destination": mount["mountPath"], "type": "bind",
                  "source": self._volumes[mount["name"]],
                  "options": ["rbind", "ro" if mount.get("readOnly")
                              else "rw"]}
                 for mount in container.get("volumeMounts", ())]
        # Compose's.
        binds += [{"destination": one.split(":")[0], "type": "tmpfs",
                   "source": "tmpfs", "options": [
                       "nosuid", "noexec", "nodev",
                       *one.split(":")[1].split(",")]}
                  for one in container.get("tmpfs", ())]
        config = {
            "ociVersion": "1.0.2",
            "root": {"path": self.image.root, "readonly":
                     context.get("readOnlyRootFilesystem", False)},
            "process": self._process(container),
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc",
                 "options": ["nosuid", "noexec", "nodev"]},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                 "options": ["nosuid", "strictatime", "mode=755",
                             "size=65536k"]},
                {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
                 "options": ["nosuid", "noexec", "nodev", "mode=1777",
                             "size=65536k"]},
                {"destination": "/sys", "type": "sysfs", "source": "sysfs",
                 "options": ["nosuid", "noexec", "nodev", "ro"]},
                *binds],
            "linux": {
                "namespaces": [{"type": "pid"}, {"type": "mount"}],
                "maskedPaths": list(_MASKED),
                "readonlyPaths": list(_READ_ONLY)},
        }
        if context.get("seccompProfile") == {"type": "RuntimeDefault"}:
            config["linux"]["seccomp"] = _seccomp(self._profile, held)
        return config

    def _inner(self):
        """The sandbox's first process, as seen from here."""
        pid = self._sandbox.pid
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return f.read().split()[0]

    def _inside(self, *arguments):
        return ("nsenter", "-t", self._inner(), "-m", "-p", "-i", "-u", "--",
                "crun", "--cgroup-manager=disabled", "--root",
                f"{self.directory}/state", *arguments)

    def _bundle(self, name, change):
        path = f"{self.directory}/bundle-{name}"
        os.makedirs(path, exist_ok=True)
        config = self._runtime(self.container(name))
        if change is not None:
            change(config)
        with open(f"{path}/config.json", "w", encoding="ascii") as file:
            json.dump(config, file)
        return path

    def run(self, name, *, change=None, **options):
        """Runs a container to its end.  change(config): alters what the
        runtime is told."""
        return self.ns.run(*self._inside(
            "run", "--bundle", self._bundle(name, change), name), **options)

    def start(self, name, *, change=None):
        """Starts a container; its output goes to logs[name]."""
        log = self.logs.setdefault(name, Lines())
        process = self.ns.start(*self._inside(
            "run", "--bundle", self._bundle(name, change), name),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.processes[name] = process
        log.follow(process.popen.stdout)
        return process

    def up(self, *, stages=None):
        """Starts what comes before the pod's own containers, each when the
        one before is done or well.  stages(name, word) is called as each has
        "ended", "started" or become "well"."""
        tell = stages or (lambda name, word: None)
        for one in self.spec["initContainers"]:
            if one.get("restartPolicy") != "Always":
                self.run(one["name"])
                tell(one["name"], "ended")
                continue
            self.start(one["name"])
            tell(one["name"], "started")
            self.await_well(one["name"])
            tell(one["name"], "well")

    def await_well(self, name):
        """Asks as a node does, but sooner, until the startup probe is
        well."""
        probe = self.container(name)["startupProbe"]
        until = time.monotonic() + (probe["periodSeconds"]
                                    * probe["failureThreshold"])
        while not (said := self.probe(name, "startupProbe"))[0]:
            if (time.monotonic() > until
                    or self.processes[name].popen.poll() is not None):
                raise TimeoutError("\n".join([said[1],
                                              *self.logs[name].lines]))

    def exec(self, name, *arguments):
        """Runs a program in a running container as the node runs a probe:
        with what the container itself may."""
        path = f"{self.directory}/probe-{name}.json"
        with open(path, "w", encoding="ascii") as file:
            json.dump({**self._process(self.container(name), list(arguments)),
                       "terminal": False}, file)
        return self.ns.run(*self._inside("exec", "--process", path, name),
                           check=False)

    def probe(self, name, which="readinessProbe"):
        """What its probe says now: whether it is well, and why."""
        done = self.exec(name,
                         *self.container(name)[which]["exec"]["command"])
        return done.returncode == 0, done.stdout + done.stderr

    def pids(self, name):
        """Process ids of what runs in a container, its first one first, as
        seen from here."""
        pids, queue = [], [self.processes[name].pid]
        outside = os.readlink(f"/proc/{self._inner()}/ns/mnt")
        while queue:
            pid = queue.pop(0)
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/ns/mnt") not in (
                        outside, os.readlink("/proc/self/ns/mnt")):
                    pids.append(pid)
                with open(f"/proc/{pid}/task/{pid}/children",
                          encoding="ascii") as file:
                    queue += [int(one) for one in file.read().split()]
        return pids

    def signal(self, name, number):
        """Sends a signal to each process of a container."""
        for pid in self.pids(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
