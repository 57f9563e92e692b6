-- Every primary key starts with the owner: a room's bare JID, or a shard. Addresses are compared byte by byte,
-- as everybody else compares them.

-- state, epoch and applied change with every checkpoint of a room that is spoken in, so the pages keep space for
-- it: no index has an entry more as long as no indexed column changes.
CREATE TABLE muc_rooms (
    room text COLLATE "C" PRIMARY KEY,
    -- The owner who wrote it, and the newest record of the topic `rooms` that is in it.
    epoch bigint NOT NULL,
    applied bigint NOT NULL,
    -- A serialised muc.v1.RoomState.
    state bytea NOT NULL,
    service text COLLATE "C" NOT NULL,
    is_persistent boolean NOT NULL,
    -- Public, and not locked. Of a room that is not listed the columns from here on are empty.
    is_listed boolean NOT NULL,
    name text COLLATE "C" NOT NULL,
    description text COLLATE "C" NOT NULL,
    lang text COLLATE "C" NOT NULL,
    -- Negative: so one index has the most crowded rooms first, and among equals the addresses ascend.
    minus_occupants bigint NOT NULL,
    is_open boolean NOT NULL,
    is_anonymous boolean NOT NULL,
    -- Folded, as the words are that somebody looks for.
    search_name text COLLATE "C" NOT NULL,
    search_description text COLLATE "C" NOT NULL,
    search_address text COLLATE "C" NOT NULL
) WITH (fillfactor = 80);
-- Pages are looked for and counted in the indexes alone.
CREATE INDEX muc_rooms_by_address ON muc_rooms (service, room) INCLUDE (minus_occupants) WHERE is_listed;
CREATE INDEX muc_rooms_by_occupants ON muc_rooms (service, minus_occupants, room) WHERE is_listed;

CREATE TABLE muc_affiliations (
    room text COLLATE "C" NOT NULL,
    -- A very long address is here by its digest (KeyOf): an index entry has 2 704 bytes at most.
    jid text COLLATE "C" NOT NULL,
    -- muc.v1.Affiliation
    affiliation smallint NOT NULL,
    -- A serialised muc.v1.Affiliated.
    entry bytea NOT NULL,
    PRIMARY KEY (room, jid)
);
-- 4: owners.
CREATE INDEX muc_affiliations_owners ON muc_affiliations (jid, room) WHERE affiliation = 4;

CREATE TABLE muc_occupants (
    room text COLLATE "C" NOT NULL,
    nick text COLLATE "C" NOT NULL,
    -- A serialised muc.v1.Occupant.
    occupant bytea NOT NULL,
    PRIMARY KEY (room, nick)
);

CREATE TABLE muc_history (
    room text COLLATE "C" NOT NULL,
    archive_id bigint NOT NULL,
    -- A serialised muc.v1.PastMessage.
    message bytea NOT NULL,
    PRIMARY KEY (room, archive_id)
);

-- Rooms that are no more, until nobody reads records of before.
CREATE TABLE muc_destroyed_rooms (
    room text COLLATE "C" PRIMARY KEY,
    shard integer NOT NULL,
    -- The record of the topic `rooms` that has destroyed it, and the owner who wrote so.
    epoch bigint NOT NULL,
    applied bigint NOT NULL
);
CREATE INDEX muc_destroyed_rooms_by_record ON muc_destroyed_rooms (shard, applied);

-- Whose statements change a shard's rooms: those of the owner of this epoch that were given since it last
-- claimed the shard. A statement of any other changes nothing, however late it is done.
CREATE TABLE muc_shard_writers (
    shard integer PRIMARY KEY,
    epoch bigint NOT NULL,
    -- How often it was claimed.
    turn bigint NOT NULL
);

-- What this cluster has made up once and keeps (occupant ids are keyed by it).
CREATE TABLE muc_secrets (
    name text PRIMARY KEY,
    secret bytea NOT NULL
);
