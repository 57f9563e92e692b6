"""What no schema says of the objects of a chart. Each check takes them all and gives a line for each mistake."""

import functools
import re
from typing import Callable, Iterator

import yaml

import facts

Check = Callable[["Chart"], Iterator[str]]


class Chart:
    """The objects that `helm template` made, and what they may refer to."""

    def __init__(self, objects: list[dict], known: facts.Facts, secrets: set[str]):
        self.objects, self.known, self.secrets = objects, known, secrets

    def of(self, kind: str) -> list[dict]:
        return [one for one in self.objects if one["kind"] == kind]

    def find(self, kind: str, name: str) -> dict | None:
        return next((one for one in self.of(kind) if one["metadata"]["name"] == name), None)


def name_of(one: dict) -> str:
    return f"{one.get('kind')} {one.get('metadata', {}).get('name')}"


def pod(deployment: dict) -> dict:
    return deployment["spec"]["template"]["spec"]


def containers(chart: Chart) -> Iterator[tuple[str, dict, dict]]:
    for deployment in chart.of("Deployment"):
        for container in pod(deployment)["containers"]:
            yield name_of(deployment), deployment, container


def walk(node, path: tuple = ()) -> Iterator[tuple[tuple, object]]:
    yield path, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from walk(value, (*path, key))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from walk(value, (*path, number))


# Texts of which Kubernetes takes only some, by where they stand: the last keys of their path.
ENUMS = {
    ("imagePullPolicy",): {"Always", "IfNotPresent", "Never"},
    ("protocol",): {"TCP", "UDP", "SCTP"},
    ("seccompProfile", "type"): {"RuntimeDefault", "Localhost", "Unconfined"},
    ("strategy", "type"): {"RollingUpdate", "Recreate"},
    ("whenUnsatisfiable",): {"ScheduleAnyway", "DoNotSchedule"},
    ("externalTrafficPolicy",): {"Local", "Cluster"},
    ("restartPolicy",): {"Always"},
    ("dnsPolicy",): {"ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"},
    ("operator",): {"Exists", "Equal", "In", "NotIn", "DoesNotExist", "Gt", "Lt"},
    ("effect",): {"NoSchedule", "PreferNoSchedule", "NoExecute"},
}


def check_enums(chart: Chart) -> Iterator[str]:
    for one in chart.objects:
        for path, value in walk(one.get("spec", {})):
            keys = tuple(key for key in path if isinstance(key, str))
            for ending, allowed in ENUMS.items():
                if keys[-len(ending):] == ending and isinstance(value, str) and value not in allowed:
                    yield f"{name_of(one)}: {'.'.join(keys)} is {value}, which is none of {', '.join(sorted(allowed))}"
        kind = one["spec"].get("type", "ClusterIP") if one["kind"] == "Service" else "ClusterIP"
        if kind not in {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"}:
            yield f"{name_of(one)}: a Service has no type {kind}"
        for type_ in one["spec"].get("policyTypes", []) if one["kind"] == "NetworkPolicy" else []:
            if type_ not in {"Ingress", "Egress"}:
                yield f"{name_of(one)}: a NetworkPolicy has no type {type_}"


_LABEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_DNS_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_PORT_NAME = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")


def check_names(chart: Chart) -> Iterator[str]:
    seen = set()
    for one in chart.objects:
        metadata = one["metadata"]
        # A Deployment's name is its pods' beginning, and the whole is a DNS label.
        pattern, longest = {"Service": (_DNS_LABEL, 63), "Deployment": (_DNS_LABEL, 57)}.get(one["kind"], (_SUBDOMAIN, 253))
        if not pattern.fullmatch(metadata["name"]) or len(metadata["name"]) > longest:
            yield f"{name_of(one)}: not a name for it"
        key = (one["kind"], metadata["name"])
        if key in seen:
            yield f"{name_of(one)}: there are two of them"
        seen.add(key)
        for path, labels in walk(one):
            if path and path[-1] in ("labels", "matchLabels") and isinstance(labels, dict):
                for label, value in labels.items():
                    where, _, short = label.rpartition("/")
                    if not _LABEL_NAME.fullmatch(short) or (where and not _SUBDOMAIN.fullmatch(where)):
                        yield f"{name_of(one)}: {label} is no name of a label"
                    if not isinstance(value, str) or (value and not _LABEL_NAME.fullmatch(value)):
                        yield f"{name_of(one)}: {value!r} is no value of the label {label}"
    for where, _, container in containers(chart):
        names = [port["name"] for port in container.get("ports", [])]
        for name in names:
            if not _PORT_NAME.fullmatch(name) or names.count(name) > 1:
                yield f"{where}: {name} is no name of a port, or that of two"


def check_ports(chart: Chart) -> Iterator[str]:
    for one in chart.objects:
        for path, value in walk(one.get("spec", {})):
            if path and path[-1] in ("port", "containerPort", "targetPort", "nodePort") and isinstance(value, int):
                low, high = (30000, 32767) if path[-1] == "nodePort" else (1, 65535)
                if not low <= value <= high:
                    yield f"{name_of(one)}: {path[-1]} {value} is not from {low} to {high}"
    for where, _, container in containers(chart):
        numbers = [port["containerPort"] for port in container.get("ports", [])]
        if len(numbers) != len(set(numbers)):
            yield f"{where}: two ports of one number"


def check_autoscalers(chart: Chart) -> Iterator[str]:
    for one in chart.of("HorizontalPodAutoscaler"):
        spec = one["spec"]
        if spec.get("minReplicas", 1) > spec["maxReplicas"]:
            yield f"{name_of(one)}: minReplicas is above maxReplicas"
        if not spec.get("metrics"):
            yield f"{name_of(one)}: no metric"
        for metric in spec.get("metrics", []):
            name = metric.get("pods", {}).get("metric", {}).get("name")
            if name and re.sub("^rookery_(gateway|session_manager|roster|muc|search)_", "", name) not in chart.known.metrics:
                yield f"{name_of(one)}: no service has the metric {name}"
        target = chart.find(spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"])
        if target is None:
            yield f"{name_of(one)}: there is no {spec['scaleTargetRef']['kind']} {spec['scaleTargetRef']['name']}"
        elif "replicas" in target["spec"]:
            yield f"{name_of(one)}: {name_of(target)} says how many replicas it has, too"
        elif any(metric["type"] == "Resource" for metric in spec.get("metrics", [])):
            for container in pod(target)["containers"]:
                if "cpu" not in container["resources"].get("requests", {}):
                    yield f"{name_of(one)}: {name_of(target)} requests no CPU of which there could be a part"


def _selects(selector: dict, labels: dict) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())


def check_selectors(chart: Chart) -> Iterator[str]:
    deployments = chart.of("Deployment")
    labels_of = {name_of(one): one["spec"]["template"]["metadata"]["labels"] for one in deployments}

    def selected(selector: dict) -> list[str]:
        return [name for name, labels in labels_of.items() if _selects(selector, labels)]

    for one in deployments:
        if selected(one["spec"]["selector"]["matchLabels"]) != [name_of(one)]:
            yield f"{name_of(one)}: its selector does not mean its own pods and no others"
        for constraint in pod(one).get("topologySpreadConstraints", []):
            if name_of(one) not in selected(constraint["labelSelector"]["matchLabels"]):
                yield f"{name_of(one)}: its topology spread does not mean its own pods"
    for kind, get in (("Service", lambda one: one["spec"]["selector"]), ("PodDisruptionBudget", lambda one: one["spec"]["selector"]["matchLabels"])):
        for one in chart.of(kind):
            if len(selected(get(one))) != 1:
                yield f"{name_of(one)}: its selector means the pods of {selected(get(one)) or 'nobody'}"
    for one in chart.of("NetworkPolicy"):
        if len(selected(one["spec"]["podSelector"]["matchLabels"])) != 1:
            yield f"{name_of(one)}: its selector means the pods of {selected(one['spec']['podSelector']['matchLabels']) or 'nobody'}"
    for one in chart.of("ServiceMonitor"):
        wanted = one["spec"]["selector"]["matchLabels"]
        reached = set()
        for service in chart.of("Service"):
            if _selects(wanted, service["metadata"]["labels"]):
                reached |= set(selected(service["spec"]["selector"]))
                names = {port["name"] for port in service["spec"]["ports"]}
                for endpoint in one["spec"]["endpoints"]:
                    if endpoint["port"] not in names:
                        yield f"{name_of(one)}: {name_of(service)} has no port {endpoint['port']}"
        if reached != set(labels_of):
            yield f"{name_of(one)}: it does not reach {', '.join(sorted(set(labels_of) - reached))}"


def check_target_ports(chart: Chart) -> Iterator[str]:
    for service in chart.of("Service"):
        for one in chart.of("Deployment"):
            if not _selects(service["spec"]["selector"], one["spec"]["template"]["metadata"]["labels"]):
                continue
            ports = [port for container in pod(one)["containers"] for port in container.get("ports", [])]
            known = {port["name"] for port in ports} | {port["containerPort"] for port in ports}
            for port in service["spec"]["ports"]:
                if port["targetPort"] not in known:
                    yield f"{name_of(service)}: {name_of(one)} has no port {port['targetPort']}"


PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
_HANDLERS = {"httpGet", "tcpSocket", "exec", "grpc"}


def check_probes(chart: Chart) -> Iterator[str]:
    for where, _, container in containers(chart):
        ports = {port["name"] for port in container.get("ports", [])}
        for name in PROBES:
            probe = container.get(name)
            if probe is None:
                yield f"{where}: no {name}"
                continue
            if len(_HANDLERS & set(probe)) != 1:
                yield f"{where}: {name} has {len(_HANDLERS & set(probe))} handlers, not one"
            if name != "readinessProbe" and probe.get("successThreshold", 1) != 1:
                yield f"{where}: {name} cannot have a successThreshold but 1"
            if "httpGet" not in probe:
                continue
            if probe["httpGet"]["path"] not in chart.known.admin_paths:
                yield f"{where}: {name} asks for {probe['httpGet']['path']}, which no service serves"
            if probe["httpGet"]["port"] not in ports or probe["httpGet"]["port"] != "admin":
                yield f"{where}: {name} asks port {probe['httpGet']['port']}, which is not the admin port"
        for name in ("startupProbe", "livenessProbe"):
            # Somebody else's trouble is no reason to start again.
            if container.get(name, {}).get("httpGet", {}).get("path") == "/readyz":
                yield f"{where}: {name} must not depend on what is outside"


_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_UNITS = {None: 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def quantity(text: object) -> float | None:
    match = _QUANTITY.fullmatch(str(text))
    return float(match[1]) * _UNITS[match[2]] if match else None


def check_quantities(chart: Chart) -> Iterator[str]:
    for where, _, container in containers(chart):
        resources = container.get("resources", {})
        for side in ("requests", "limits"):
            for name, text in resources.get(side, {}).items():
                if not quantity(text):
                    yield f"{where}: {side}.{name} is {text}, which is no quantity"
    for one in chart.of("HorizontalPodAutoscaler"):
        for metric in one["spec"].get("metrics", []):
            value = metric.get("pods", {}).get("target", {}).get("averageValue", "1")
            if not quantity(value):
                yield f"{name_of(one)}: averageValue is {value}, which is no quantity"


def check_limits(chart: Chart) -> Iterator[str]:
    for where, _, container in containers(chart):
        requests, limits = (container.get("resources", {}).get(side, {}) for side in ("requests", "limits"))
        if "memory" not in limits or not {"cpu", "memory"} <= set(requests):
            yield f"{where}: CPU and memory are requested, and memory is limited"
        for name in set(requests) & set(limits):
            asked, most = quantity(requests[name]), quantity(limits[name])
            if asked and most and most < asked:
                yield f"{where}: the limit of {name} ({limits[name]}) is below its request ({requests[name]})"


def check_budgets(chart: Chart) -> Iterator[str]:
    for one in chart.of("PodDisruptionBudget"):
        if len({"minAvailable", "maxUnavailable"} & set(one["spec"])) != 1:
            yield f"{name_of(one)}: it takes one of minAvailable and maxUnavailable"


def check_volumes(chart: Chart) -> Iterator[str]:
    for where, deployment, container in containers(chart):
        names = [volume["name"] for volume in pod(deployment).get("volumes", [])]
        mounts = [mount["name"] for mount in container.get("volumeMounts", [])]
        paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
        for name in mounts:
            if name not in names:
                yield f"{where}: the mount {name} has no volume"
        for name in names:
            if names.count(name) > 1 or name not in mounts:
                yield f"{where}: the volume {name} is there twice, or nobody mounts it"
        if len(paths) != len(set(paths)):
            yield f"{where}: two mounts at one path"
        for volume in pod(deployment).get("volumes", []):
            if "configMap" in volume and not chart.find("ConfigMap", volume["configMap"]["name"]):
                yield f"{where}: there is no ConfigMap {volume['configMap']['name']}"


def service_of(deployment: dict) -> str:
    return deployment["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]


@functools.cache
def _parsed(text: str) -> dict:
    return yaml.load(text, yaml.CSafeLoader)


def config_of(chart: Chart, deployment: dict) -> dict:
    for volume in pod(deployment).get("volumes", []):
        found = chart.find("ConfigMap", volume.get("configMap", {}).get("name", ""))
        if found:
            return _parsed(found["data"]["config.yaml"])
    return {}


def check_settings(chart: Chart) -> Iterator[str]:
    for where, deployment, container in containers(chart):
        service = service_of(deployment)
        known = chart.known.settings[service]
        for path, value in walk(config_of(chart, deployment)):
            key = ".".join(str(part) for part in path if isinstance(part, str))
            if isinstance(value, dict) or any(isinstance(part, int) for part in path):
                continue
            if key not in known:
                yield f"{where}: rookery-{service} has no setting {key}"
            elif known[key].is_secret:
                yield f"{where}: {key} is a secret and stands in the ConfigMap"
            elif known[key].choices and value not in known[key].choices:
                yield f"{where}: {key} is {value!r}, none of {', '.join(known[key].choices)}"
        variables = facts.variables(service, known)
        for entry in container.get("env", []):
            if entry["name"].startswith("ROOKERY_") and entry["name"] not in variables | {"ROOKERY_LOG_JID_KEY"}:
                yield f"{where}: rookery-{service} knows no variable {entry['name']}"


def check_files(chart: Chart) -> Iterator[str]:
    """Files that the settings name lie where something is mounted."""
    for where, deployment, container in containers(chart):
        mounts = {mount["name"]: mount["mountPath"] for mount in container.get("volumeMounts", [])}
        whole, single = [], set()
        for volume in pod(deployment).get("volumes", []):
            at = mounts.get(volume["name"], "")
            source = volume.get("secret") or volume.get("configMap") or {}
            if "items" in source:
                single |= {f"{at}/{item['path']}" for item in source["items"]}
            else:
                whole.append(f"{at}/")
        texts = [str(value) for _, value in walk(config_of(chart, deployment)) if not isinstance(value, (dict, list))]
        texts += [entry.get("value", "") for entry in container.get("env", [])] + container.get("args", [])
        for text in texts:
            for path in re.findall(r"/etc/rookery/[\w./-]+", text):
                if path not in single and not any(path.startswith(directory) for directory in whole):
                    yield f"{where}: {path} is not mounted"


def check_images(chart: Chart) -> Iterator[str]:
    for where, deployment, container in containers(chart):
        image = re.sub(r"(@sha256:[0-9a-f]{64}|:[\w.-]+)$", "", container["image"]).rpartition("/")[2]
        if image not in chart.known.images:
            yield f"{where}: no image {image} is built"
        if container["image"].endswith(":latest") or not re.search(r"[@:]", container["image"].rpartition("/")[2]):
            yield f"{where}: {container['image']} is another image every day"
        program = container["command"][0]
        if program not in chart.known.programs or program != f"rookery-{service_of(deployment)}":
            yield f"{where}: it runs {program}, which is not the image's program of that service"


def check_secrets(chart: Chart) -> Iterator[str]:
    made = {one["spec"]["secretName"] for one in chart.of("Certificate")}
    for one in chart.objects:
        for path, value in walk(one):
            name = None
            if path and path[-1] == "secretName" and one["kind"] != "Certificate":
                name = value
            elif path and path[-1] == "secretKeyRef":
                name = value["name"]
            if name is not None and name not in chart.secrets | made:
                yield f"{name_of(one)}: no value names the secret {name}"
        if one["kind"] == "Secret":
            yield f"{name_of(one)}: secrets are named, not made"


def check_security(chart: Chart) -> Iterator[str]:
    for where, deployment, container in containers(chart):
        spec = pod(deployment)
        if spec.get("automountServiceAccountToken") is not False or spec.get("enableServiceLinks") is not False:
            yield f"{where}: the pod is given a token or variables that it does not need"
        account = chart.find("ServiceAccount", spec.get("serviceAccountName", ""))
        if account is None or account.get("automountServiceAccountToken") is not False:
            yield f"{where}: its service account is missing, or gives out tokens"
        context, own = spec.get("securityContext", {}), container.get("securityContext", {})
        wanted = (
            context.get("runAsNonRoot") is True and context.get("runAsUser", 0) > 0
            and context.get("seccompProfile") == {"type": "RuntimeDefault"}
            and own.get("readOnlyRootFilesystem") is True and own.get("allowPrivilegeEscalation") is False
            and own.get("capabilities") == {"drop": ["ALL"]} and not own.get("privileged")
        )
        if not wanted:
            yield f"{where}: it may do more than it has to"


def check_drain(chart: Chart) -> Iterator[str]:
    """The grace period outlasts the drain, and an update never has two owners hand over at once."""
    for where, deployment, container in containers(chart):
        grace = pod(deployment).get("terminationGracePeriodSeconds", 30)
        drain = int(re.fullmatch(r"(\d+)s", config_of(chart, deployment).get("drain-timeout", "20s"))[1])
        hook = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
        if grace <= drain + int(hook[-1]):
            yield f"{where}: the grace period of {grace} s is over before the drain"
        spec = deployment["spec"]
        update = spec["strategy"].get("rollingUpdate", {})
        if spec["strategy"]["type"] != "RollingUpdate" or update.get("maxUnavailable") != 0:
            yield f"{where}: an update takes pods away before others are there"
        if service_of(deployment) != "gateway" and update.get("maxSurge") != 1:
            yield f"{where}: an update moves the shards of several owners at once"
        if spec.get("minReadySeconds", 0) <= grace:
            yield f"{where}: an update goes on while the pod before may still drain"
        if spec.get("progressDeadlineSeconds", 600) <= spec.get("minReadySeconds", 0):
            yield f"{where}: progressDeadlineSeconds is not above minReadySeconds"
    for one in chart.of("HorizontalPodAutoscaler"):
        target = chart.find("Deployment", one["spec"]["scaleTargetRef"]["name"])
        if target is None:
            continue
        for policy in one["spec"].get("behavior", {}).get("scaleDown", {}).get("policies", [{"value": 100, "periodSeconds": 15}]):
            if policy["value"] != 1 or policy["periodSeconds"] <= pod(target).get("terminationGracePeriodSeconds", 30):
                yield f"{name_of(one)}: it takes away a pod while the one before may still drain"


# Who calls whom: callers of each service's gRPC port.
CALLERS = {"session-manager": {"gateway"}, "roster": {"session-manager"}, "muc": {"session-manager"}, "search": {"session-manager"}}


def check_network(chart: Chart) -> Iterator[str]:
    policies = chart.of("NetworkPolicy")
    if not policies:
        return
    by_pods = {name_of(one): one for one in chart.of("Deployment")}
    for where, deployment, container in containers(chart):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        own = [one for one in policies if _selects(one["spec"]["podSelector"]["matchLabels"], labels)]
        if len(own) != 1 or set(own[0]["spec"]["policyTypes"]) != {"Ingress", "Egress"}:
            yield f"{where}: not one policy for both directions"
            continue
        service = service_of(deployment)
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        callers = _peers(own[0]["spec"].get("ingress", []), "from", ports.get("rpc"), by_pods)
        if callers != CALLERS.get(service, set()):
            yield f"{where}: it is called by {sorted(callers)}, not by {sorted(CALLERS.get(service, set()))}"
        called = _peers(own[0]["spec"].get("egress", []), "to", _rpc_port(chart), by_pods)
        wanted = {name for name, who in CALLERS.items() if service in who}
        if called != wanted:
            yield f"{where}: it may call {sorted(called)}, not {sorted(wanted)}"
        open_ports = {port["port"] for rule in own[0]["spec"].get("ingress", []) if "from" not in rule for port in rule["ports"]}
        doors = {number for name, number in ports.items() if name not in ("admin", "rpc")}
        if not open_ports <= doors:
            yield f"{where}: ports {sorted(open_ports - doors)} are open to everybody"
        asked = {port["port"] for rule in own[0]["spec"].get("egress", []) for port in rule.get("ports", [])}
        config = config_of(chart, deployment)
        addresses = config["redis"]["addresses"] + config.get("kafka", {}).get("brokers", [])
        needed = {int(address.rpartition(":")[2]) for address in addresses}
        if "pg" in config:
            needed.add(int(re.search(r"\bport=(\d+)", config["pg"]["connection"])[1]))
        if not needed <= asked:
            yield f"{where}: it cannot reach ports {sorted(needed - asked)}"


def _rpc_port(chart: Chart) -> int | None:
    return next((port["containerPort"] for _, _, container in containers(chart) for port in container["ports"] if port["name"] == "rpc"), None)


def _peers(rules: list[dict], side: str, port: int | None, by_pods: dict[str, dict]) -> set[str]:
    """The services whose pods may use the port; `*` where a peer is no pod of ours."""
    found = set()
    for rule in rules:
        if port not in {entry["port"] for entry in rule.get("ports", [])}:
            continue
        for peer in rule.get(side, [{}]):
            selector = peer.get("podSelector", {}).get("matchLabels")
            names = {service_of(one) for one in by_pods.values() if selector and _selects(selector, one["spec"]["template"]["metadata"]["labels"])}
            found |= names or {"*"}
    return found


def check_doors(chart: Chart) -> Iterator[str]:
    """Listeners of the settings, ports of the pods and ports of the Services are the same."""
    for where, deployment, container in containers(chart):
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        config = config_of(chart, deployment)
        said = {"admin": config["admin"]["address"]}
        if service_of(deployment) != "gateway":
            said["rpc"] = config["rpc"]["address"]
        for name, listener in config.get("listeners", {}).items():
            if isinstance(listener, dict) and "address" in listener:
                said[name] = listener["address"]
        if {name: int(address.rpartition(":")[2]) for name, address in said.items()} != ports:
            yield f"{where}: it listens at {said}, and has the ports {ports}"
        if service_of(deployment) != "gateway":
            continue
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        offered = {
            port["targetPort"] for one in chart.of("Service")
            if _selects(one["spec"]["selector"], labels) and one["spec"].get("clusterIP") != "None" for port in one["spec"]["ports"]
        }
        if offered != set(ports) - {"admin"}:
            yield f"{where}: its Service offers {sorted(offered)}, its listeners are {sorted(set(ports) - {'admin'})}"


def check_identities(chart: Chart) -> Iterator[str]:
    """Each service proves that it is itself, and has nothing by which it could be another."""
    owners: dict[tuple, str] = {}
    for where, deployment, container in containers(chart):
        service, config = service_of(deployment), config_of(chart, deployment)
        if bool(config["rpc"].get("tls")) == config["rpc"].get("insecure", False):
            yield f"{where}: it has both or neither of rpc.tls and rpc.insecure"
        secrets = {volume["name"]: volume["secret"] for volume in pod(deployment).get("volumes", []) if "secret" in volume}
        own = {("certificate", secrets["rpc"]["secretName"])} if "rpc" in secrets else set()
        for backend in ("redis", "kafka", "postgresql"):
            if backend in secrets:
                own.add((f"{backend}'s password", secrets[backend]["secretName"], secrets[backend]["items"][0]["key"]))
        for backend in ("redis", "kafka"):
            user = config.get(backend, {}).get("user")
            if bool(user) != (backend in secrets):
                yield f"{where}: for {backend} it has only one of user and password"
            if user:
                own.add((f"{backend}'s user", user))
        if "pg" in config:
            user = re.search(r"\buser=(\S+)", config["pg"]["connection"])
            if not user or "postgresql" not in secrets:
                yield f"{where}: for postgresql it has not both of user and password"
            else:
                own.add(("postgresql's user", user[1]))
        for variable, backend in (("REDIS", "redis"), ("KAFKA", "kafka"), ("PG", "postgresql")):
            name = f"{facts.prefix(service)}{variable}__PASSWORD_FILE"
            if (backend in secrets) != (name in {entry["name"] for entry in container.get("env", [])}):
                yield f"{where}: {name} and {backend}'s password do not go together"
        kafka = config.get("kafka", {})
        if kafka.get("user") and kafka["sasl-mechanism"] == "PLAIN" and not kafka["tls"]:
            yield f"{where}: it shows Kafka's password to the network"
        for thing in own:
            if owners.setdefault(thing, service) != service:
                yield f"{where}: it has the same {' '.join(thing)} as {owners[thing]}"
        made = [one for one in chart.of("Certificate") if ("certificate", one["spec"]["secretName"]) in own]
        for one in made:
            if one["spec"]["dnsNames"] != [service + chart.known.tls_domain]:
                yield f"{name_of(one)}: it is for {one['spec']['dnsNames']}, and {service} shows it"
            if not {"server auth", "client auth"} <= set(one["spec"]["usages"]):
                yield f"{name_of(one)}: it is not for both sides of a connection"


# Settings that several services must agree on, whatever each calls them.
SHARED = (
    ("domains",), ("registration.enabled",), ("sasl.iterations", "scram.iterations"), ("kafka.partitions",), ("kafka.brokers",),
    ("kafka.topic-prefix",), ("kafka.max-record-bytes", "limits.max-record-bytes"), ("kafka.tls",), ("redis.addresses",), ("pg.connection",),
    ("rpc.insecure",),
)


def check_shared(chart: Chart) -> Iterator[str]:
    for keys in SHARED:
        said: dict[str, str] = {}
        for where, deployment, _ in containers(chart):
            flat = {".".join(map(str, path)): value for path, value in walk(config_of(chart, deployment))}
            # But for whom they sign in as.
            said |= {where: re.sub(r"\buser=\S+", "", str(flat[key])) for key in keys if key in flat}
        if len(set(said.values())) > 1:
            yield f"{' and '.join(keys)}: not the same everywhere: {said}"


CHECKS: dict[str, Check] = {name.removeprefix("check_"): check for name, check in list(globals().items()) if name.startswith("check_")}


def mistakes(chart: Chart) -> list[str]:
    return [f"{name}: {line}" for name, check in CHECKS.items() for line in check(chart)]
