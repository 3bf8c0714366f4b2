# SPDX-License-Identifier: ISC
"""The files for Kubernetes and Compose: right by their schemas, and as closed
as they say.  What they do when they run is test_sidecar's to see."""

import copy
import os
import re
import subprocess

import pytest
import yaml

from lab import manifests
from lab.gateway import BUILD
from lab.manifests import COMPOSE, KUBERNETES, Kustomization, containers

POSTERN = 10025  # user postern of the image
STATUS = ["/usr/sbin/postern", "status"]


@pytest.fixture
def example():
    return Kustomization(f"{KUBERNETES}/example")


@pytest.fixture
def gateway():
    return Kustomization(f"{KUBERNETES}/gateway")


def named(made, name):
    found, = (one for one in containers(made) if one["name"] == name)
    return found


@pytest.mark.parametrize("name", ["example", "gateway"])
def test_schema(name):
    built = Kustomization(f"{KUBERNETES}/{name}")
    for made in built.objects:
        assert manifests.kubernetes_errors(made) == [], made["kind"]


@pytest.mark.parametrize("path, value, message", [
    ("securityContext runasUser", 1, "'runasUser' was unexpected"),
    ("securityContext runAsUser", "1", "'1' is not of type 'number'"),
    ("name", None, "'name' is a required property"),
    ("startupProbe exec", ["x"], "['x'] is not of type 'object'"),
])
def test_schema_finds_mistakes(example, path, value, message):
    made = copy.deepcopy(example.one("Deployment"))
    where = containers(made)[1]
    *above, last = path.split()
    for key in above:
        where = where[key]
    if value is None:
        del where[last]
    else:
        where[last] = value
    found = manifests.kubernetes_errors(made)
    assert len(found) == 1 and message in found[0], found


@pytest.mark.parametrize("name", ["example", "gateway"])
def test_references(name):
    """Volumes, config maps and their files are there, each is used, and
    selectors select."""
    built = Kustomization(f"{KUBERNETES}/{name}")
    for made in built.objects:
        if not (pod := manifests.pod_of(made)):
            continue
        labels = made["spec"]["template"]["metadata"]["labels"]
        wanted = made["spec"]["selector"]["matchLabels"]
        assert wanted.items() <= labels.items()
        volumes = {volume["name"] for volume in pod["volumes"]}
        mounted = {mount["name"] for one in containers(made)
                   for mount in one.get("volumeMounts", ())}
        assert volumes == mounted
        for volume in pod["volumes"]:
            if "configMap" in volume:
                assert "postern.conf" in built.files()[
                    volume["configMap"]["name"]]
        names = [one["name"] for one in containers(made)]
        assert len(names) == len(set(names))


def test_versions(example, gateway):
    """They name the version that the Makefile builds."""
    with open(f"{KUBERNETES}/../../Makefile", encoding="utf-8") as file:
        version = re.search(r"^VERSION\s*= (\S+)$", file.read(), re.M)[1]
    for built in (example, gateway):
        found = {one["image"] for made in built.objects
                 for one in containers(made)
                 if "postern" in one["name"]}
        assert found == {f"localhost/postern:{version}"}
    services = manifests.compose()["services"]
    for name in ("postern", "postern-rules"):
        assert services[name]["image"] == f"postern:{version}"


@pytest.mark.parametrize("name", ["sidecar", "gateway"])
def test_configurations(name, tmp_path):
    """postern itself reads them, with an interface that this machine has."""
    with open(f"{KUBERNETES}/{name}/postern.conf", encoding="utf-8") as file:
        text = file.read()
    path = tmp_path / "postern.conf"
    path.write_text(text, encoding="utf-8")
    done = subprocess.run([f"{BUILD}/postern", "check", "-c", str(path)],
                          check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_rules_come_first(example):
    """Before anything else of the pod, and what follows waits for postern."""
    made = example.one("Deployment")
    merged = copy.deepcopy(made)
    manifests.pod_of(merged)["initContainers"] = [
        {"name": "migrate", "image": "x"}]
    with open(f"{KUBERNETES}/sidecar/pod.yaml", encoding="utf-8") as file:
        manifests.merge(merged, yaml.safe_load(file))
    for one in (made, merged):
        names = [each["name"] for each in containers(one)]
        assert names[:2] == ["postern-rules", "postern"]
    rules, postern, *others = containers(made)
    assert rules["args"] == ["rules", "apply"]
    assert "restartPolicy" not in rules
    assert postern["args"] == ["run", "--no-rules"]
    assert postern["restartPolicy"] == "Always"
    for probe in ("startupProbe", "readinessProbe"):
        assert postern[probe]["exec"]["command"] == STATUS
    assert [one["name"] for one in others] == ["application"]


def test_who_may_what(example, gateway):
    """One capability in one step; nobody else is, or becomes, postern."""
    made = example.one("Deployment")
    for one in containers(made) + containers(gateway.one("DaemonSet")):
        context = one["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"]["drop"] == ["ALL"]
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert "privileged" not in context and "ports" not in one
    rules, postern, *others = (one["securityContext"]
                               for one in containers(made))
    assert rules["capabilities"]["add"] == ["NET_ADMIN"]
    assert rules["runAsUser"] == 0
    for context in (postern, *others):
        assert "add" not in context["capabilities"]
        assert context["runAsNonRoot"] is True
    assert postern["runAsUser"] == postern["runAsGroup"] == POSTERN
    for context in others:
        assert context["runAsUser"] not in (0, POSTERN)
    pod = manifests.pod_of(made)
    for key in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
        assert key not in pod


# Compose.

@pytest.fixture
def compose():
    return manifests.compose()


def test_compose_schema(compose):
    assert manifests.compose_errors(compose) == []
    compose["services"]["application"]["networkmode"] = "x"
    assert "networkmode" in manifests.compose_errors(compose)[0]


def test_compose_files(compose):
    for name in ("postern", "postern-rules"):
        volume, = compose["services"][name]["volumes"]
        assert os.path.isfile(f"{os.path.dirname(COMPOSE)}/"
                              f"{volume['source']}")
        assert volume["target"] == "/etc/postern/postern.conf"
        assert volume["read_only"] is True


def test_compose_order_and_privilege(compose):
    services = compose["services"]
    postern, rules = services.pop("postern"), services.pop("postern-rules")
    for one in (rules, *services.values()):
        assert one["network_mode"] == "service:postern"
    for one in (postern, rules, *services.values()):
        assert one["cap_drop"] == ["ALL"] and one["read_only"] is True
        assert one["security_opt"] == ["no-new-privileges:true"]
        assert "restart" not in one
    assert rules["cap_add"] == ["NET_ADMIN"] and rules["user"] == "0:0"
    assert postern["user"] == f"{POSTERN}:{POSTERN}"
    assert postern["healthcheck"]["test"] == ["CMD", *STATUS]
    assert rules["command"] == ["rules", "apply"]
    assert postern["command"] == ["run", "--no-rules"]
    for one in services.values():
        assert one["user"].split(":")[0] not in ("0", str(POSTERN))
        assert "cap_add" not in one
        assert one["depends_on"] == {
            "postern-rules": {"condition": "service_completed_successfully"},
            "postern": {"condition": "service_healthy"}}
