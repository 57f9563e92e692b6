"""Mistakes made on purpose, each of which the check that it is named for must find."""

from dataclasses import dataclass
from typing import Callable

# What is changed: the objects of the good chart, by `kind/name`.
Objects = dict[str, dict]

DEPLOYMENT = "Deployment/chat-session-manager"
GATEWAY = "Deployment/chat-gateway-xmpp"


@dataclass(frozen=True)
class Fault:
    check: str
    name: str
    # A part of what the check says.
    says: str
    make: Callable[[Objects], None]


def _container(objects: Objects, key: str = DEPLOYMENT) -> dict:
    return objects[key]["spec"]["template"]["spec"]["containers"][0]


def _pod(objects: Objects, key: str = DEPLOYMENT) -> dict:
    return objects[key]["spec"]["template"]["spec"]


def _settings(old: str, new: str, name: str = "chat-session-manager") -> Callable[[Objects], None]:
    def make(objects: Objects) -> None:
        data = objects[f"ConfigMap/{name}"]["data"]
        assert old in data["config.yaml"], f"{old} is not among the settings of {name}"
        data["config.yaml"] = data["config.yaml"].replace(old, new)

    return make


def _enum(objects: Objects) -> None:
    _container(objects)["imagePullPolicy"] = "Sometimes"


def _service_type(objects: Objects) -> None:
    objects["Service/chat-gateway-xmpp"]["spec"]["type"] = "Loadbalancer"


def _policy_type(objects: Objects) -> None:
    objects["NetworkPolicy/chat-roster"]["spec"]["policyTypes"] = ["Ingress", "Outgress"]


def _name(objects: Objects) -> None:
    objects["ConfigMap/chat-roster"]["metadata"]["name"] = "Chat_Roster"


def _long_name(objects: Objects) -> None:
    objects["Service/chat-roster-internal"]["metadata"]["name"] = "c" * 64


def _twice(objects: Objects) -> None:
    objects["Service/chat-muc-internal"]["metadata"]["name"] = "chat-roster-internal"


def _label(objects: Objects) -> None:
    objects["Service/chat-muc-internal"]["metadata"]["labels"]["app.kubernetes.io/version"] = "0.1.0+build"


def _port_name(objects: Objects) -> None:
    _container(objects, GATEWAY)["ports"][1]["name"] = "xmpp-with-starttls"


def _port(objects: Objects) -> None:
    _container(objects)["ports"][0]["containerPort"] = 70000


def _node_port(objects: Objects) -> None:
    objects["Service/chat-gateway-xmpp"]["spec"]["ports"][0]["nodePort"] = 5222


def _same_port(objects: Objects) -> None:
    ports = _container(objects)["ports"]
    ports[1]["containerPort"] = ports[0]["containerPort"]


def _min_above_max(objects: Objects) -> None:
    objects["HorizontalPodAutoscaler/chat-roster"]["spec"]["minReplicas"] = 50


def _no_target(objects: Objects) -> None:
    objects["HorizontalPodAutoscaler/chat-roster"]["spec"]["scaleTargetRef"]["name"] = "chat-rooster"


def _two_say_replicas(objects: Objects) -> None:
    objects["Deployment/chat-roster"]["spec"]["replicas"] = 2


def _no_cpu(objects: Objects) -> None:
    del _container(objects, "Deployment/chat-roster")["resources"]["requests"]["cpu"]


def _unknown_metric(objects: Objects) -> None:
    metrics = objects["HorizontalPodAutoscaler/chat-gateway-xmpp"]["spec"]["metrics"]
    metrics[0]["pods"]["metric"]["name"] = "rookery_gateway_clients"


def _selector(objects: Objects) -> None:
    objects[DEPLOYMENT]["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"] = "sm"


def _wide_selector(objects: Objects) -> None:
    del objects["Service/chat-gateway-xmpp"]["spec"]["selector"]["rookery/door"]


def _budget_selector(objects: Objects) -> None:
    objects["PodDisruptionBudget/chat-muc"]["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"] = "rooms"


def _unseen(objects: Objects) -> None:
    del objects["Service/chat-search-internal"]["metadata"]["labels"]["rookery/metrics"]


def _target_port(objects: Objects) -> None:
    objects["Service/chat-gateway-xmpp"]["spec"]["ports"][0]["targetPort"] = "c2s"


def _two_handlers(objects: Objects) -> None:
    _container(objects)["livenessProbe"]["tcpSocket"] = {"port": "rpc"}


def _no_probe(objects: Objects) -> None:
    del _container(objects)["readinessProbe"]


def _probe_path(objects: Objects) -> None:
    _container(objects)["startupProbe"]["httpGet"]["path"] = "/health"


def _probe_port(objects: Objects) -> None:
    _container(objects)["startupProbe"]["httpGet"]["port"] = "rpc"


def _liveness_of_others(objects: Objects) -> None:
    _container(objects)["livenessProbe"]["httpGet"]["path"] = "/readyz"


def _quantity(objects: Objects) -> None:
    _container(objects)["resources"]["requests"]["memory"] = "512MB"


def _metric_quantity(objects: Objects) -> None:
    objects["HorizontalPodAutoscaler/chat-gateway-xmpp"]["spec"]["metrics"][0]["pods"]["target"]["averageValue"] = "40 000"


def _limit(objects: Objects) -> None:
    _container(objects)["resources"]["limits"]["memory"] = "256Mi"


def _no_limit(objects: Objects) -> None:
    del _container(objects)["resources"]["limits"]


def _both_bounds(objects: Objects) -> None:
    objects["PodDisruptionBudget/chat-muc"]["spec"] |= {"minAvailable": 1, "maxUnavailable": 1}


def _no_volume(objects: Objects) -> None:
    _pod(objects)["volumes"] = [volume for volume in _pod(objects)["volumes"] if volume["name"] != "postgresql"]


def _no_mount(objects: Objects) -> None:
    container = _container(objects)
    container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] != "redis"]


def _no_config_map(objects: Objects) -> None:
    del objects["ConfigMap/chat-muc"]


def _variable(objects: Objects) -> None:
    _container(objects)["env"].append({"name": "ROOKERY_SESSION_MANAGER__PG__PASSWD", "value": "x"})


def _image(objects: Objects) -> None:
    _container(objects)["image"] = "registry.example.org/chat/rookery-sm:0.1.0"


def _latest(objects: Objects) -> None:
    _container(objects)["image"] = "rookery:latest"


def _program(objects: Objects) -> None:
    _container(objects)["command"] = ["rookery-roster"]


def _secret(objects: Objects) -> None:
    next(volume for volume in _pod(objects)["volumes"] if volume["name"] == "postgresql")["secret"]["secretName"] = "postgresql"


def _secret_variable(objects: Objects) -> None:
    next(entry for entry in _container(objects)["env"] if entry["name"] == "ROOKERY_LOG_JID_KEY")["valueFrom"]["secretKeyRef"]["name"] = "logs"


def _made_secret(objects: Objects) -> None:
    objects["Secret/x"] = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "stringData": {"password": "x"}}


def _writable(objects: Objects) -> None:
    _container(objects)["securityContext"]["readOnlyRootFilesystem"] = False


def _root(objects: Objects) -> None:
    _pod(objects)["securityContext"]["runAsUser"] = 0


def _token(objects: Objects) -> None:
    del objects["ServiceAccount/chat-muc"]["automountServiceAccountToken"]


def _grace(objects: Objects) -> None:
    _pod(objects, GATEWAY)["terminationGracePeriodSeconds"] = 40


def _two_owners(objects: Objects) -> None:
    objects[DEPLOYMENT]["spec"]["strategy"]["rollingUpdate"]["maxSurge"] = 2


def _unavailable(objects: Objects) -> None:
    objects[DEPLOYMENT]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] = 1


def _hasty(objects: Objects) -> None:
    objects[DEPLOYMENT]["spec"]["minReadySeconds"] = 10


def _hasty_scaling(objects: Objects) -> None:
    objects["HorizontalPodAutoscaler/chat-session-manager"]["spec"]["behavior"]["scaleDown"]["policies"][0]["value"] = 4


def _stranger(objects: Objects) -> None:
    objects["NetworkPolicy/chat-roster"]["spec"]["ingress"][0].pop("from")


def _gateway_to_roster(objects: Objects) -> None:
    rules = objects["NetworkPolicy/chat-roster"]["spec"]["ingress"]
    labels = rules[0]["from"][0]["podSelector"]["matchLabels"]
    rules[0]["from"].append({"podSelector": {"matchLabels": {**labels, "app.kubernetes.io/component": "gateway"}}})


def _cut_off(objects: Objects, service: str = "session-manager") -> None:
    spec = objects[f"NetworkPolicy/chat-{service}"]["spec"]
    spec["egress"] = [rule for rule in spec["egress"] if {"port": 5432, "protocol": "TCP"} not in rule["ports"]]


def _no_policy(objects: Objects) -> None:
    del objects["NetworkPolicy/chat-search"]


def _volume(objects: Objects, volume: str, key: str = DEPLOYMENT) -> dict:
    return next(one for one in _pod(objects, key)["volumes"] if one["name"] == volume)["secret"]


def _others_certificate(objects: Objects) -> None:
    _volume(objects, "rpc", "Deployment/chat-roster")["secretName"] = "chat-session-manager-rpc-tls"


def _others_password(objects: Objects) -> None:
    _volume(objects, "redis", "Deployment/chat-roster")["items"][0]["key"] = "muc"


def _no_password(objects: Objects) -> None:
    container = _container(objects, "Deployment/chat-muc")
    container["env"] = [entry for entry in container["env"] if entry["name"] != "ROOKERY_MUC__KAFKA__PASSWORD_FILE"]


def _shared_name(objects: Objects) -> None:
    objects["Certificate/chat-gateway-rpc-tls"]["spec"]["dnsNames"] = ["rookery.internal"]


def _one_sided(objects: Objects) -> None:
    objects["Certificate/chat-gateway-rpc-tls"]["spec"]["usages"] = ["digital signature", "server auth"]


def _door(objects: Objects) -> None:
    objects["Service/chat-gateway-xmpp"]["spec"]["ports"].pop()


FAULTS = [
    Fault("enums", "pull policy", "imagePullPolicy is Sometimes", _enum),
    Fault("enums", "type of a Service", "no type Loadbalancer", _service_type),
    Fault("enums", "type of a policy", "no type Outgress", _policy_type),
    Fault("names", "capitals", "Chat_Roster", _name),
    Fault("names", "64 letters", "cccc", _long_name),
    Fault("names", "two of one name", "there are two", _twice),
    Fault("names", "value of a label", "no value of the label", _label),
    Fault("names", "name of a port", "xmpp-with-starttls", _port_name),
    Fault("ports", "above 65535", "containerPort 70000", _port),
    Fault("ports", "node port", "nodePort 5222", _node_port),
    Fault("ports", "one number twice", "two ports of one number", _same_port),
    Fault("autoscalers", "min above max", "minReplicas is above", _min_above_max),
    Fault("autoscalers", "no target", "no Deployment chat-rooster", _no_target),
    Fault("autoscalers", "replicas beside it", "says how many replicas", _two_say_replicas),
    Fault("autoscalers", "no CPU requested", "requests no CPU", _no_cpu),
    Fault("autoscalers", "metric that nobody has", "no service has the metric rookery_gateway_clients", _unknown_metric),
    Fault("selectors", "Deployment against labels", "its own pods and no others", _selector),
    Fault("selectors", "Service of several doors", "Service chat-gateway-xmpp", _wide_selector),
    Fault("selectors", "PodDisruptionBudget of nobody", "means the pods of nobody", _budget_selector),
    Fault("selectors", "ServiceMonitor that misses one", "does not reach Deployment chat-search", _unseen),
    Fault("target_ports", "names no port", "has no port c2s", _target_port),
    Fault("probes", "two handlers", "2 handlers", _two_handlers),
    Fault("probes", "none", "no readinessProbe", _no_probe),
    Fault("probes", "path that nobody serves", "/health, which", _probe_path),
    Fault("probes", "wrong port", "not the admin port", _probe_port),
    Fault("probes", "liveness by what is outside", "must not depend", _liveness_of_others),
    Fault("quantities", "MB", "512MB", _quantity),
    Fault("quantities", "of a metric", "40 000", _metric_quantity),
    Fault("limits", "below the request", "(256Mi) is below", _limit),
    Fault("limits", "none", "memory is limited", _no_limit),
    Fault("budgets", "both bounds", "one of minAvailable", _both_bounds),
    Fault("volumes", "mount without volume", "mount postgresql has no volume", _no_volume),
    Fault("volumes", "volume without mount", "volume redis", _no_mount),
    Fault("volumes", "no such ConfigMap", "no ConfigMap chat-muc", _no_config_map),
    Fault("settings", "unknown key", "sessions.resumption-timeout", _settings("resume-timeout:", "resumption-timeout:")),
    Fault("settings", "secret in the file", "pg.password is a secret", _settings("pg:\n", "pg:\n  password: x\n")),
    Fault("settings", "no such choice", "warning", _settings("level: warn", "level: warning")),
    Fault("settings", "no such choice of rooms", "creation is 'nobody'", _settings("creation: members", "creation: nobody", "chat-muc")),
    Fault("settings", "unknown variable", "PG__PASSWD", _variable),
    Fault("files", "not mounted", "/etc/rookery/ca/ca.crt is not mounted", _settings("/etc/rookery/rpc/ca.crt", "/etc/rookery/ca/ca.crt")),
    Fault("images", "not built", "rookery-sm", _image),
    Fault("images", "latest", "rookery:latest", _latest),
    Fault("images", "program of another service", "runs rookery-roster", _program),
    Fault("secrets", "volume", "secret postgresql", _secret),
    Fault("secrets", "variable", "secret logs", _secret_variable),
    Fault("secrets", "made by the chart", "not made", _made_secret),
    Fault("identities", "certificate of another", "same certificate chat-session-manager-rpc-tls", _others_certificate),
    Fault("identities", "certificate that is nobody's", "for ['rookery.internal'], and gateway shows it", _shared_name),
    Fault("identities", "certificate that cannot call", "not for both sides", _one_sided),
    Fault("identities", "neither TLS nor word of it", "both or neither of rpc.tls", _settings("  tls:\n    ca-file", "  x:\n    ca-file")),
    Fault("identities", "password of another", "same redis's password rookery-redis muc", _others_password),
    Fault("identities", "password that is not read", "KAFKA__PASSWORD_FILE and kafka's password", _no_password),
    Fault("identities", "user of another", "same kafka's user muc as muc", _settings("user: search", "user: muc", "chat-search")),
    Fault("identities", "no user", "kafka it has only one of user and password", _settings("user: muc\n", "userx: muc\n", "chat-muc")),
    Fault("identities", "role of another", "same postgresql's user roster", _settings("user=session_manager", "user=roster")),
    Fault("identities", "password in the clear", "shows Kafka's password", _settings("  tls: true", "  tls: false")),
    Fault("security", "writable root", "more than it has to", _writable),
    Fault("security", "root", "more than it has to", _root),
    Fault("security", "token", "gives out tokens", _token),
    Fault("drain", "grace period too short", "grace period of 40 s", _grace),
    Fault("drain", "two owners at once", "several owners", _two_owners),
    Fault("drain", "pod taken before another is there", "before others are there", _unavailable),
    Fault("drain", "update that does not wait", "goes on while", _hasty),
    Fault("drain", "autoscaler that does not wait", "takes away a pod", _hasty_scaling),
    Fault("network", "open to everybody", "['*']", _stranger),
    Fault("network", "open to a service that does not call", "['gateway', 'session-manager'], not by", _gateway_to_roster),
    Fault("network", "cut off from the database", "[5432]", _cut_off),
    Fault("network", "rooms that are cut off from the database", "Deployment chat-muc: it cannot reach ports [5432]", lambda objects: _cut_off(objects, "muc")),
    Fault("network", "no policy", "not one policy", _no_policy),
    Fault("doors", "listener that the Service does not offer", "offers ['xmpp'], its listeners are ['xmpp', 'xmpp-tls']", _door),
    Fault("doors", "port that is not the listener's", "9001", _settings("0.0.0.0:9000", "0.0.0.0:9001")),
    Fault("shared", "not the same everywhere", "domains: not the same", _settings("- example.net", "- example.com")),
    Fault(
        "shared", "records that gateways take and the log does not", "limits.max-record-bytes: not the same",
        _settings("max-record-bytes: 2000000", "max-record-bytes: 4000000", "chat-gateway-web"),
    ),
    Fault("shared", "other partitions", "kafka.partitions: not the same", _settings("partitions: 128", "partitions: 64", "chat-muc")),
]


def _typo(objects: Objects) -> None:
    _container(objects)["readynessProbe"] = _container(objects).pop("readinessProbe")


def _wrong_type(objects: Objects) -> None:
    objects["Deployment/chat-roster"]["spec"]["minReadySeconds"] = "40"


def _missing(objects: Objects) -> None:
    del objects["HorizontalPodAutoscaler/chat-roster"]["spec"]["maxReplicas"]


def _old_version(objects: Objects) -> None:
    objects["HorizontalPodAutoscaler/chat-roster"]["apiVersion"] = "autoscaling/v2beta2"


def _deep_typo(objects: Objects) -> None:
    objects["NetworkPolicy/chat-roster"]["spec"]["ingress"][0]["form"] = []


def _custom_typo(objects: Objects) -> None:
    objects["ServiceMonitor/chat"]["spec"]["endpoints"][0]["intervall"] = "15s"


def _certificate_typo(objects: Objects) -> None:
    objects["Certificate/chat-muc-rpc-tls"]["spec"]["dnsName"] = ["muc.rookery.internal"]


# What kubeconform finds.
SCHEMA_FAULTS: dict[str, Callable[[Objects], None]] = {
    "unknown field": _typo,
    "unknown field further in": _deep_typo,
    "text for a number": _wrong_type,
    "missing field": _missing,
    "version that is gone": _old_version,
    "unknown field of a ServiceMonitor": _custom_typo,
    "unknown field of a Certificate": _certificate_typo,
}

# Values that nobody may give, over the minimal ones, and what helm says.
WRONG_VALUES: dict[str, tuple[dict, str]] = {
    "unknown value": ({"gatway": {}}, "gatway"),
    "unknown value further in": ({"defaults": {"replica": 3}}, "replica"),
    "unknown setting": ({"gateway": {"config": {"limits": {"idle-timeut": "1m"}}}}, "idle-timeut"),
    "secret among the settings": ({"sessionManager": {"config": {"pg": {"password": "x"}}}}, "pg"),
    "address of a listener among the settings": ({"gateway": {"config": {"listeners": {"xmpp": {"address": ":1"}}}}}, "xmpp"),
    "choice that is none": ({"log": {"level": "trace"}}, "must be one of"),
    "off without quotes": ({"gateway": {"doors": {"xmpp": {"listeners": {"xmpp": {"tls": False}}}}}}, "must be one of"),
    "port out of range": ({"rpc": {"port": 70000}}, "port"),
    "name of a door": ({"gateway": {"doors": {"Web_1": {"enabled": True}}}}, "Web_1"),
    "bad quantity": ({"roster": {"resources": {"requests": {"memory": "1GB"}}}}, "memory"),
    "password among Kafka's properties": ({"kafka": {"properties": ["sasl.password=x"]}}, "properties"),
    "Kafka's TLS among its properties": ({"kafka": {"properties": ["security.protocol=ssl"]}}, "properties"),
    "no domain": ({"domains": []}, "domains"),
    "no way between services": ({"rpc": {"insecure": False}}, "exactly one of rpc.tls.existingSecrets"),
    "two ways between services": ({"rpc": {"tls": {"existingSecrets": {"muc": "x"}}}}, "exactly one of rpc.tls.existingSecrets"),
    "a service without certificate": (
        {"rpc": {"insecure": False, "tls": {"existingSecrets": {"gateway": "a", "sessionManager": "b", "roster": "c", "muc": "d"}}}},
        "existingSecrets: nothing for search;",
    ),
    "no issuer": ({"rpc": {"insecure": False, "tls": {"certManager": {"enabled": True}}}}, "issuerRef.name is missing"),
    "no certificate": ({"gateway": {"tls": {"certificates": []}}}, "needs gateway.tls.certificates"),
    "no authority": ({"postgresql": {"sslmode": "verify-full", "insecure": False}}, "needs postgresql.caSecret"),
    "PostgreSQL that nobody checks": ({"postgresql": {"insecure": False}}, "sslmode prefer: nobody checks who the server is"),
    "PostgreSQL that is encrypted, and nobody checks": ({"postgresql": {"sslmode": "require", "insecure": False}}, "sslmode require: nobody checks who the server is"),
    "PostgreSQL that is checked and is not": ({"postgresql": {"sslmode": "verify-full", "caSecret": {"name": "x"}}}, "postgresql.insecure is set, and"),
    "authority of Kafka without TLS": ({"kafka": {"caSecret": {"name": "x"}}}, "of no use without kafka.tls"),
    "Kafka without passwords": ({"kafka": {"insecure": False}}, "kafka: no passwords; kafka.passwordsSecret is needed"),
    "Redis without passwords": ({"redis": {"insecure": False}}, "redis: no passwords; redis.passwordsSecret is needed"),
    "Redis with passwords and without": ({"redis": {"passwordsSecret": "x"}}, "redis.insecure is set, and so are passwords"),
    "Kafka's passwords in the clear": ({"kafka": {"passwordsSecret": "x", "insecure": False}}, "PLAIN needs kafka.tls"),
    "Kafka's passwords for some": ({"kafka": {"insecure": False, "users": {"muc": {"passwordSecret": {"name": "x"}}}}}, "kafka: no password for search, sessionManager;"),
    "Redis' passwords for some": ({"redis": {"insecure": False, "users": {"gateway": {"passwordSecret": {"name": "x"}}}}}, "redis: no password for muc,"),
    "no password of PostgreSQL": ({"postgresql": {"passwordsSecret": ""}}, "postgresql: no password for muc, roster, sessionManager;"),
    "PostgreSQL's role with a space": ({"postgresql": {"users": {"roster": {"name": "ro ster"}}}}, "name"),
    "nobody may read metrics": ({"metrics": {"serviceMonitor": {"enabled": True}}}, "needs networkPolicy.monitoring"),
    "min above max": ({"roster": {"autoscaling": {"enabled": True, "minReplicas": 9}}}, "minReplicas is above maxReplicas"),
    "nothing to scale by": ({"roster": {"autoscaling": {"enabled": True, "cpuUtilization": 0}}}, "needs cpuUtilization or podMetrics"),
    "more owners than partitions": ({"kafka": {"partitions": 1}}, "the others would own nothing"),
    "both bounds": ({"muc": {"podDisruptionBudget": {"minAvailable": 1}}}, "takes one of maxUnavailable and minAvailable"),
    "no bound": ({"muc": {"podDisruptionBudget": {"maxUnavailable": ""}}}, "needs maxUnavailable or minAvailable"),
    "no door": ({"gateway": {"doors": {"xmpp": {"enabled": False}}}}, "no door of the gateway is enabled"),
    "no listener": ({"gateway": {"doors": {"web": {"enabled": True, "listeners": {"websocket-tls": {"enabled": False}}}}}}, "no listener is enabled"),
    "two listeners at one port": ({"gateway": {"doors": {"xmpp": {"listeners": {"xmpp-tls": {"port": 5222}}}}}}, "two listeners have port 5222"),
}
