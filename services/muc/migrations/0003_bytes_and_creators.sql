-- bytes: what a room takes in memory, about: so many are loaded at a time.
-- creator: who has made it, by the key that affiliations have (KeyOf): an account makes only so many rooms. Those
-- of before are nobody's.
ALTER TABLE muc_rooms
    ADD COLUMN bytes bigint NOT NULL DEFAULT 0,
    ADD COLUMN creator text COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX muc_rooms_by_creator ON muc_rooms (creator, service) WHERE creator <> '';
DROP INDEX muc_affiliations_owners;

-- Rooms that somebody may make and that may not be in muc_rooms yet.
CREATE TABLE muc_reserved_rooms (
    creator text COLLATE "C" NOT NULL,
    room text COLLATE "C" NOT NULL,
    service text COLLATE "C" NOT NULL,
    reserved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (creator, room)
);
