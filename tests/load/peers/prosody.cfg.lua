-- Prosody as a peer of the benchmark: what the clients need, and nothing that limits or stores messages.
local state = os.getenv("PEER_STATE")
data_path = state .. "/data"
certificates = state .. "/certs" -- none
pidfile = state .. "/prosody.pid"
run_as_root = true -- in containers
log = { warn = state .. "/log" }
interfaces = { "127.0.0.1" }
c2s_ports = { 5422 }
network_backend = "epoll"
network_settings = { tcp_backlog = 4096 }
modules_enabled = { "roster"; "saslauth"; "disco"; "register"; "smacks" }
modules_disabled = { "s2s" }
c2s_require_encryption = false
authentication = "internal_hashed"
password_hash = "SHA-256" -- for SCRAM-SHA-256
allow_registration = true

VirtualHost "localhost"
Component "conference.localhost" "muc"
