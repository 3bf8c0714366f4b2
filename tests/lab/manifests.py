# SPDX-License-Identifier: ISC
"""What ships for Kubernetes and Compose, read as their tools read it.

    built = Kustomization(f"{KUBERNETES}/example")
    pod = built.one("Deployment")["spec"]["template"]["spec"]
    kubernetes_errors(built.one("Deployment"))      # [] where all is well

Kustomization knows as much of kustomize as ours use, and refuses the rest.
The schemas are those of the official clients, which scripts/deps fetches.
"""

import copy
import functools
import json
import os
import re

import jsonschema
import yaml

_HERE = os.path.dirname(os.path.abspath(__file__))
KUBERNETES = os.path.abspath(f"{_HERE}/../../scripts/kubernetes")
COMPOSE = os.path.abspath(f"{_HERE}/../../scripts/compose/compose.yaml")
_ROOTS = os.path.abspath(f"{_HERE}/../../build/lab")
_MODELS = f"{_ROOTS}/kubernetes/package/dist/gen/models"
_KEYS = {"apiVersion", "kind", "namespace", "resources", "components",
         "configMapGenerator", "patches", "images"}
_CLUSTER_WIDE = {"Namespace"}


class Kustomization:
    """`kubectl kustomize` of a folder: objects, and each ConfigMap's files
    under the name that the pods use."""

    def __init__(self, directory, objects=None):
        self.directory = directory
        self.objects = [] if objects is None else objects
        with open(f"{directory}/kustomization.yaml", encoding="utf-8") as file:
            told = yaml.safe_load(file)
        assert set(told) <= _KEYS, set(told) - _KEYS
        expected = "Kustomization" if objects is None else "Component"
        assert told["kind"] == expected, directory
        for name in told.get("resources", ()):
            with open(self._path(name), encoding="utf-8") as file:
                self.objects += yaml.safe_load_all(file)
        for name in told.get("components", ()):
            Kustomization(self._path(name), self.objects)
        for row in told.get("configMapGenerator", ()):
            self.objects.append({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": row["name"]},
                "data": {name: self._read(name) for name in row["files"]}})
        for row in told.get("patches", ()):
            self._patch(yaml.safe_load(self._read(row["path"])),
                        row["target"])
        for row in told.get("images", ()):
            self._tag(row["name"], row["newTag"])
        if "namespace" in told:
            for made in self.objects:
                if made["kind"] not in _CLUSTER_WIDE:
                    made["metadata"]["namespace"] = told["namespace"]

    def _path(self, name):
        return os.path.normpath(f"{self.directory}/{name}")

    def _read(self, name):
        with open(self._path(name), encoding="utf-8") as file:
            return file.read()

    def _patch(self, patch, target):
        assert set(target) == {"kind", "labelSelector"}
        key, value = target["labelSelector"].split("=")
        hits = [made for made in self.objects
                if made["kind"] == target["kind"]
                and made["metadata"].get("labels", {}).get(key) == value]
        assert hits, target
        for made in hits:
            name = made["metadata"]["name"]
            merge(made, patch)
            made["metadata"]["name"] = name

    def _tag(self, image, tag):
        hits = 0
        for made in self.objects:
            for container in containers(made):
                if container["image"].split(":")[0] == image:
                    container["image"] = f"{image}:{tag}"
                    hits += 1
        assert hits, image

    def one(self, kind):
        found, = (made for made in self.objects if made["kind"] == kind)
        return found

    def files(self):
        """{config map: {file: text}}"""
        return {made["metadata"]["name"]: made["data"]
                for made in self.objects if made["kind"] == "ConfigMap"}


def pod_of(made):
    return made.get("spec", {}).get("template", {}).get("spec", {})


def containers(made):
    """In the order in which they start."""
    return [*pod_of(made).get("initContainers", ()),
            *pod_of(made).get("containers", ())]


def merge(into, patch):
    """A strategic merge: what a patch adds to a list of named things comes
    before what is there."""
    for key, value in patch.items():
        have = into.get(key)
        if isinstance(value, dict) and isinstance(have, dict):
            merge(have, value)
        elif (isinstance(value, list) and isinstance(have, list)
              and all("name" in one for one in value + have)):
            by_name = {one["name"]: one for one in have}
            new = []
            for one in value:
                if one["name"] in by_name:
                    merge(by_name[one["name"]], one)
                else:
                    new.append(copy.deepcopy(one))
            into[key] = new + have
        else:
            into[key] = copy.deepcopy(value)


# Schemas.

_CLASS = re.compile(r"^export declare class (\w+)", re.M)
_FIELD = re.compile(r"^    '(\w+)'(\?)?: ((?:\{[^}]*\}|[^;])+);", re.M)
_LIST = re.compile(r"Array<(.+)>")
_MAP = re.compile(r"\{\s*\[key: string\]: (.+);\s*\}", re.S)
_PLAIN = {"string": {"type": "string"}, "number": {"type": "number"},
          "boolean": {"type": "boolean"}, "any": {}, "Date": {},
          "IntOrString": {"type": ["integer", "string"]}}


def _type(text):
    if text in _PLAIN:
        return _PLAIN[text]
    if found := _LIST.fullmatch(text):
        return {"type": "array", "items": _type(found[1])}
    if found := _MAP.fullmatch(text):
        return {"type": "object", "additionalProperties": _type(found[1])}
    assert re.fullmatch(r"\w+", text), text
    return {"$ref": f"#/$defs/{text}"}


@functools.cache
def kubernetes_schema():
    """The types of the official client as a schema that knows no other
    fields."""
    made = {}
    for name in sorted(os.listdir(_MODELS)):
        if not name.endswith(".d.ts"):
            continue
        with open(f"{_MODELS}/{name}", encoding="utf-8") as file:
            text = file.read()
        if (found := _CLASS.search(text)) is None:
            continue
        fields = {field.lstrip("_"): (is_optional, kind.strip()) for
                  field, is_optional, kind in _FIELD.findall(text)}
        made[found[1]] = {
            "type": "object", "additionalProperties": False,
            "properties": {key: _type(kind)
                           for key, (_, kind) in fields.items()},
            "required": [key for key, (is_optional, _) in fields.items()
                         if not is_optional]}
    assert len(made) > 500 and "restartPolicy" in made[
        "V1Container"]["properties"]
    return made


def kubernetes_errors(made):
    """What is wrong with an object, by the client's types."""
    group, _, version = made["apiVersion"].rpartition("/")
    assert group in ("", "apps"), group
    schema = {"$ref": f"#/$defs/{version.capitalize()}{made['kind']}",
              "$defs": kubernetes_schema()}
    return [f"{error.json_path}: {error.message}" for error in
            jsonschema.Draft202012Validator(schema).iter_errors(made)]


def compose_pod(made):
    """What Compose's services are to a node: a pod's specification, whose
    config map `postern` stands for the file that they mount."""
    spec = {"volumes": [{"name": "config", "configMap": {"name": "postern"}}],
            "initContainers": []}
    for name, service in made["services"].items():
        user, group = map(int, service["user"].split(":"))
        container = {
            "name": name, "image": service["image"],
            "tmpfs": service.get("tmpfs", ()),
            "securityContext": {
                "runAsUser": user, "runAsGroup": group,
                "runAsNonRoot": user != 0,
                "allowPrivilegeEscalation":
                    "no-new-privileges:true" not in service["security_opt"],
                "readOnlyRootFilesystem": service["read_only"],
                "capabilities": {"drop": service["cap_drop"],
                                 "add": service.get("cap_add", [])},
                # What Docker does where nothing is said.
                "seccompProfile": {"type": "RuntimeDefault"}},
            "volumeMounts": [
                {"name": "config", "readOnly": mount["read_only"],
                 "mountPath": os.path.dirname(mount["target"])}
                for mount in service.get("volumes", ())]}
        if "command" in service:
            container["args"] = service["command"]
        if "healthcheck" in service:
            word, *command = service["healthcheck"]["test"]
            assert word == "CMD"
            container["startupProbe"] = container["readinessProbe"] = {
                "exec": {"command": command}, "periodSeconds": 2,
                "failureThreshold": service["healthcheck"]["retries"]}
        spec["initContainers"].append(container)
    return spec


def compose():
    with open(COMPOSE, encoding="utf-8") as file:
        return yaml.safe_load(file)


def compose_errors(made):
    with open(f"{_ROOTS}/compose/package/lib/schema.json",
              encoding="utf-8") as file:
        schema = json.load(file)
    return [f"{error.json_path}: {error.message}" for error in
            jsonschema.Draft7Validator(schema).iter_errors(made)]
