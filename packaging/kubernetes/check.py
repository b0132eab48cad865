#!/usr/bin/env python3
"""The manifests are what Kubernetes takes, as far as one can tell without it, and keep their promises to each other."""
import os
import sys

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
NEEDED = {
    "Deployment": ("apps/v1", ["spec.replicas", "spec.selector.matchLabels", "spec.template.spec.containers"]),
    "PodDisruptionBudget": ("policy/v1", ["spec.selector.matchLabels"]),
    "Service": ("v1", ["spec.selector", "spec.ports"]),
    "NetworkPolicy": ("networking.k8s.io/v1", ["spec.podSelector", "spec.policyTypes", "spec.ingress"]),
    "Secret": ("v1", ["type", "stringData"]),
    "PodMonitor": ("monitoring.coreos.com/v1", ["spec.selector", "spec.podMetricsEndpoints"]),
    "TriggerAuthentication": ("keda.sh/v1alpha1", ["spec.secretTargetRef"]),
    "ScaledObject": ("keda.sh/v1alpha1", ["spec.scaleTargetRef.name", "spec.triggers"]),
}
bad = []


def expect(condition, text):
    if not condition:
        bad.append(text)


def get(thing, path):
    for key in path.split("."):
        thing = thing.get(key) if isinstance(thing, dict) else None
    return thing


def load(name):
    with open(os.path.join(HERE, name)) as file:
        return [d for d in yaml.safe_load_all(file) if d]


docs = {}
for name in sorted(os.listdir(HERE)):
    if not name.endswith(".yaml") or name == "kustomization.yaml":
        continue
    for doc in load(name):
        kind = doc.get("kind")
        docs[kind] = doc
        api, paths = NEEDED.get(kind, (None, []))
        expect(doc.get("apiVersion") == api, f"{name}: {kind} with apiVersion {doc.get('apiVersion')}")
        expect(get(doc, "metadata.name") == "waymark", f"{name}: {kind} is not named waymark")
        for path in paths:
            expect(get(doc, path), f"{name}: {kind} has no {path}")
expect(set(docs) == set(NEEDED), f"kinds: {sorted(docs)}")

kustomization = load("kustomization.yaml")[0]
for name in kustomization["resources"]:
    expect(os.path.exists(os.path.join(HERE, name)), f"kustomization.yaml: there is no {name}")

pod = get(docs["Deployment"], "spec.template.spec")
box = pod["containers"][0]
ports = {p["name"]: p["containerPort"] for p in box["ports"]}
labels = get(docs["Deployment"], "spec.template.metadata.labels")
env = {e["name"]: e["value"] for e in box["env"]}
expect(env["WAYMARK_ADMIN_LISTEN"] == f"0.0.0.0:{ports['admin']}", "the admin listener is not where the probes look")
for probe, path in (("startupProbe", "/readyz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
    expect(box[probe]["httpGet"] == {"path": path, "port": "admin"}, f"{probe}: {box[probe]['httpGet']}")

# What the "restricted" pod security standard demands.
for path, value in (("runAsNonRoot", True), ("seccompProfile.type", "RuntimeDefault")):
    expect(get(pod["securityContext"], path) == value, f"securityContext.{path}")
for path, value in (("allowPrivilegeEscalation", False), ("readOnlyRootFilesystem", True), ("capabilities.drop", ["ALL"])):
    expect(get(box["securityContext"], path) == value, f"securityContext.{path}")
expect(pod["securityContext"]["runAsUser"] > 0, "runs as root")

for kind, path in (("Deployment", "spec.selector.matchLabels"), ("PodDisruptionBudget", "spec.selector.matchLabels"),
                   ("Service", "spec.selector"), ("NetworkPolicy", "spec.podSelector.matchLabels"),
                   ("PodMonitor", "spec.selector.matchLabels")):
    chosen = get(docs[kind], path)
    expect(chosen and chosen.items() <= labels.items(), f"{kind} does not select the pods")
for where, port in (("Service", docs["Service"]["spec"]["ports"][0]["targetPort"]),
                    ("PodMonitor", docs["PodMonitor"]["spec"]["podMetricsEndpoints"][0]["port"]),
                    *(("NetworkPolicy", p["port"]) for i in docs["NetworkPolicy"]["spec"]["ingress"] for p in i["ports"])):
    expect(port in ports, f"{where}: no port {port}")

# The grace is longer than the pause before SIGTERM and the drain of the example configuration together.
with open(os.path.join(HERE, "../../config.example.toml")) as file:
    drain = next(int(line.split('"')[1].rstrip("s")) for line in file if line.startswith("# drain = "))
pause = int(box["lifecycle"]["preStop"]["exec"]["command"][1])
expect(pod["terminationGracePeriodSeconds"] >= drain + pause + 10, "terminationGracePeriodSeconds is too short")

# Every secret that is named has a key, and a file where the environment looks.
keys = docs["Secret"]["stringData"]
for name, value in env.items():
    if name.endswith("_FILE"):
        expect(os.path.basename(value) in keys, f"{name}: no such key in the Secret")
        expect(os.path.dirname(value) == box["volumeMounts"][0]["mountPath"], f"{name}: nothing is mounted there")
expect(docs["TriggerAuthentication"]["spec"]["secretTargetRef"][0]["key"] in keys, "TriggerAuthentication: no such key")

with open(os.path.join(HERE, "queue.sql")) as file:
    sql = file.read()
expect(docs["ScaledObject"]["spec"]["triggers"][0]["metadata"]["query"] == sql, "scaling.yaml: the query is not queue.sql")

# compose.yaml, while we are at it.
with open(os.path.join(HERE, "../../compose.yaml")) as file:
    compose = yaml.safe_load(file)
for name, service in compose["services"].items():
    for secret in service.get("secrets", []):
        expect(secret in compose["secrets"], f"compose.yaml: {name}: no secret {secret}")
    for key, value in service.get("environment", {}).items():
        if key.endswith("_FILE"):
            expect(os.path.basename(value) in service["secrets"], f"compose.yaml: {name}: {key} is not given to it")
    for volume in service.get("volumes", []):
        expect(volume.split(":")[0] in compose["volumes"], f"compose.yaml: {name}: no volume {volume}")
    for other in service.get("depends_on", {}):
        expect(set(service["profiles"]) <= set(compose["services"][other]["profiles"]), f"compose.yaml: {name}: {other}")

print("\n".join(bad))
sys.exit(1 if bad else 0)
