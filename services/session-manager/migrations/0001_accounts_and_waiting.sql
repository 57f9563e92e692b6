-- Every primary key starts with the owner: a user's bare JID.
CREATE TABLE accounts (
    owner text PRIMARY KEY,
    keys bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE last_activity (
    owner text PRIMARY KEY,
    at_ms bigint NOT NULL,
    status text NOT NULL
);

-- XEP-0160. id: the offset of the message's record plus 1. A row whose given_at_ms is set
-- is the mark that the message was given; it keeps no text.
CREATE TABLE offline_messages (
    owner text NOT NULL,
    id bigint NOT NULL,
    received_at_ms bigint NOT NULL,
    given_at_ms bigint,
    stanza bytea NOT NULL,
    PRIMARY KEY (owner, id)
);

-- Packets of one session that its client has not acknowledged in time (XEP-0198).
CREATE TABLE session_packets (
    owner text NOT NULL,
    session_id bytea NOT NULL,
    seq bigint NOT NULL,
    shard integer NOT NULL,
    record_offset bigint NOT NULL,
    offline_id bigint NOT NULL,
    flags bigint NOT NULL,
    received_at_ms bigint NOT NULL,
    stanza bytea NOT NULL,
    PRIMARY KEY (owner, session_id, seq)
);
CREATE INDEX session_packets_shard ON session_packets (shard);

-- Sessions whose connection is lost and whose client may resume.
CREATE TABLE parked_sessions (
    owner text NOT NULL,
    session_id bytea NOT NULL,
    shard integer NOT NULL,
    expires_at_ms bigint NOT NULL,
    attach bytea NOT NULL,
    PRIMARY KEY (owner, session_id)
);
CREATE INDEX parked_sessions_shard ON parked_sessions (shard);
