-- Every primary key starts with the owner: a user's bare JID.
CREATE TABLE roster_versions (
    owner text PRIMARY KEY,
    version bigint NOT NULL
);

-- One row for each contact that the owner has an item for, or a request from.
CREATE TABLE roster_items (
    owner text NOT NULL,
    jid text NOT NULL,
    name text NOT NULL,
    groups text[] NOT NULL,
    -- 0 none, 1 to, 2 from, 3 both
    subscription smallint NOT NULL,
    pending_out boolean NOT NULL,
    pending_in boolean NOT NULL,
    approved boolean NOT NULL,
    -- False: only a request received; no item that clients see.
    listed boolean NOT NULL,
    -- The request as it was received; NULL without one.
    request bytea,
    revision bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (owner, jid)
);
