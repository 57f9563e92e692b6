"""What `up` says at its end: where to connect, and with what."""

from rookery_local.layout import DOMAIN, Name, Options
from rookery_local.paths import State


def text(state: State, options: Options) -> str:
    gateways = [Name("gateway", n + 1) for n in range(options.replicas["gateway"])]
    if not gateways:
        return "The cluster is up, without a gateway."
    lines = [f"The cluster is up. Its domain is {DOMAIN}; clients may register accounts of their own."]
    for name in gateways:
        listeners = options.listeners(name)
        ports = options.ports(name)
        parts = [f"XMPP {listeners['xmpp']}{_starttls(options)}"]
        if options.tls != "off":
            parts.append(f"direct TLS {listeners['xmpp-tls']}")
        if options.tls != "required":
            parts.append(f"ws://{DOMAIN}:{ports['websocket']}/xmpp-websocket")
        if options.tls != "off":
            parts.append(f"wss://{DOMAIN}:{ports['websocket-tls']}/xmpp-websocket")
        lines.append(f"  {str(name):<10} {'   '.join(parts)}")
    first = options.ports(gateways[0])
    lines += [
        "",
        f"With a stock client: account you@{DOMAIN}, host 127.0.0.1, port {first['xmpp']}, \"register a new account\".",
    ]
    if options.tls != "off":
        lines.append(f"Clients must trust this machine's own authority: {state.certificates / 'ca.pem'}; the README says how.")
    lines.append("Metrics and readiness: " + "  ".join(f"http://{options.listeners(n)['admin']}/metrics" for n in gateways[:1]))
    lines.append(f"Settings of your own: {state.settings}/<service>.yaml, then `deploy/local/cluster restart <service>`.")
    lines.append("Next: deploy/local/cluster status | logs | demo | down")
    return "\n".join(lines)


def _starttls(options: Options) -> str:
    return {"off": " (no TLS)", "optional": " (STARTTLS offered)", "required": " (STARTTLS required)"}[options.tls]
