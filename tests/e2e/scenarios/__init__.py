"""One file for each matter. The order in which they run: what is quick and kills nothing first."""

ORDER = (
    "streams",
    "sasl",
    "accounts",
    "disco",
    "delivery",
    "offline",
    "carbons",
    "roster",
    "presence",
    "stream_management",
    "log",
    "bad_input",
    "bad_streams",
    "demo",
    "backends",
    "service_tls",
    "kill",
)
