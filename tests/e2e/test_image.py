# SPDX-License-Identifier: ISC
"""The container image that `make image` builds."""

import json
import os
import re
import shutil
import stat
import subprocess
import tarfile

import pytest

from lab.gateway import BUILD
from lab.pod import Image

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPTS = os.path.abspath(f"{HERE}/../../scripts")
LAYOUT = f"{BUILD}/image/oci"
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----\s+(.*?)\s+"
                          rb"-----END CERTIFICATE-----", re.S)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    directory = tmp_path_factory.mktemp("image")
    yield Image(LAYOUT, str(directory))
    shutil.rmtree(directory)


def run(image, *arguments, **options):
    """A program of the image, in nothing but the image."""
    return subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL",
         "--propagation", "private", "--root", image.root, "--mount-proc",
         "--", *arguments],
        check=False, capture_output=True, text=True, **options)


def files(root):
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            yield path.removeprefix(root), os.lstat(path)


def programs(root):
    """What may be run and is no library."""
    return sorted(path for path, status in files(root)
                  if stat.S_ISREG(status.st_mode) and status.st_mode & 0o111
                  and "/lib/" not in path)


def test_configuration(image):
    config = image.config["config"]
    with open(f"{image.root}/etc/passwd", encoding="ascii") as file:
        users = {row.split(":")[0]: row.split(":") for row in file}
    _, _, uid, gid, *_ = users["postern"]
    assert config["User"] == f"{uid}:{gid}"
    assert int(uid) > 0
    assert config["Entrypoint"] == ["/usr/sbin/postern"]
    for _, _, _, _, _, _, shell in users.values():
        assert shell.strip() == "/usr/sbin/nologin"


def test_programs_run(image):
    """Every library is there, and what the settings name by default."""
    with open(f"{BUILD}/compiled-in", encoding="ascii") as file:
        version = file.read().split()[0]
    done = run(image, "/usr/sbin/postern", "version")
    assert done.returncode == 0, done.stderr
    assert version in done.stdout
    assert image.config["config"]["Labels"][
        "org.opencontainers.image.version"] == version
    done = run(image, "/usr/sbin/postern", "check", "--mode", "local")
    assert done.returncode == 0, done.stderr
    anchors = int(re.search(r"(\d+) anchors", done.stdout)[1])
    assert anchors > 100
    children = [path for path in programs(image.root) if "/sbin/" not in path]
    assert len(children) >= 2
    for program in children:
        done = run(image, program)
        assert "started by `postern run` only" in done.stderr, program


def test_nothing_else_is_in_it(image):
    """No shell, nobody else's program, nothing to become another user by."""
    for path, status in files(image.root):
        assert not status.st_mode & (stat.S_ISUID | stat.S_ISGID), path
        if stat.S_ISREG(status.st_mode):
            assert not status.st_mode & 0o022, path
    assert programs(image.root) == programs(f"{BUILD}/image/installed")


def test_authorities_are_the_packages(image, tmp_path):
    """And no other that this machine trusts."""
    package, = (f"{BUILD}/image/packages/{name}"
                for name in os.listdir(f"{BUILD}/image/packages")
                if name.startswith("ca-certificates_"))
    subprocess.run(["dpkg-deb", "-x", package, tmp_path], check=True)
    wanted = set()
    folder = tmp_path / "usr/share/ca-certificates/mozilla"
    for path in folder.iterdir():
        wanted.update(_CERTIFICATE.findall(path.read_bytes()))
    with open(f"{image.root}/etc/ssl/certs/ca-certificates.crt",
              "rb") as file:
        found = _CERTIFICATE.findall(file.read())
    assert len(found) == len(set(found)) > 100
    assert set(found) == wanted


def test_licences(image):
    for name in os.listdir(f"{image.root}/var/lib/dpkg/status.d"):
        assert os.path.exists(
            f"{image.root}/usr/share/doc/{name}/copyright"), name


def test_archive_to_load(image):
    """As docker load wants it, and as podman and containerd do."""
    with tarfile.open(f"{BUILD}/image/postern.tar") as archive:
        names = set(archive.getnames())
        made, = json.load(archive.extractfile("manifest.json"))
        assert json.load(archive.extractfile(made["Config"])) == image.config
        index = json.load(archive.extractfile("index.json"))
    assert set(made["Layers"]) <= names
    assert len(made["Layers"]) == len(image.manifest["layers"])
    assert "oci-layout" in names
    version = image.config["config"]["Labels"][
        "org.opencontainers.image.version"]
    assert made["RepoTags"] == [f"postern:{version}",
                                f"localhost/postern:{version}"]
    assert index["manifests"][0]["annotations"][
        "io.containerd.image.name"] == f"localhost/postern:{version}"


def test_same_again(tmp_path):
    """The same programs make the same image, on another day and in another
    place."""
    digests = []
    for number in range(2):
        directory = tmp_path / str(number)
        shutil.copytree(f"{BUILD}/image/packages", directory / "packages")
        subprocess.run([f"{SCRIPTS}/image", directory,
                        f"{BUILD}/image/installed", "7"], check=True,
                       cwd=f"{SCRIPTS}/..", stdout=subprocess.DEVNULL,
                       env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"})
        with open(directory / "oci/index.json", encoding="ascii") as file:
            digests.append(json.load(file)["manifests"][0]["digest"])
    assert digests[0] == digests[1]
