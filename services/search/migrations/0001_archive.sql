-- Every primary key starts with the owner of an archive, an account's or a room's bare JID, or with a shard; the
-- two tables about partitions have neither. Addresses are compared byte by byte, as everybody else compares them.

-- One row for each message of each archive (XEP-0313). A partition holds what was received within one period, so
-- that what is old goes with its partition and no row is looked for.
CREATE TABLE search_archive (
    -- The order of an archive and its pages: where its event is in `messages`. A later one is higher, while ids
    -- come in any order.
    position bigint NOT NULL,
    -- What clients call it.
    archive_id bigint NOT NULL,
    -- Milliseconds since 1970, from the record: so a row that is written again is found in its partition, and the
    -- key excludes it although it is unique within one partition only.
    received_at_ms bigint NOT NULL,
    -- Which account of the name.
    generation bigint NOT NULL,
    -- Digests of the owner (OwnerKeyOf), and of owner and other party without and with its resource (WithKeyOf). An
    -- address in their place would make each entry of an index much longer. Empty: it has no resource.
    owner_key bigint NOT NULL,
    with_bare bigint NOT NULL,
    with_full bigint,
    -- The record that it follows from.
    origin_offset bigint NOT NULL,
    origin_partition integer NOT NULL,
    origin_topic smallint NOT NULL,
    direction smallint NOT NULL,
    kind smallint NOT NULL,
    owner text COLLATE "C" NOT NULL,
    peer text COLLATE "C" NOT NULL,
    peer_resource text COLLATE "C" NOT NULL,
    -- A serialised common.v1.Stanza, or what has come in its place.
    stanza bytea NOT NULL,
    PRIMARY KEY (owner, position, received_at_ms)
) PARTITION BY RANGE (received_at_ms);
-- Excludes the same event, wherever in `messages` it comes again, and finds a row by its id.
CREATE UNIQUE INDEX search_archive_by_id ON search_archive (owner_key, archive_id, received_at_ms);
-- Near which position is a time, for `start` and `end`. A row in eight is enough for that, drawn by chance so that
-- every archive has its part.
CREATE INDEX search_archive_by_time ON search_archive (owner_key, received_at_ms)
    WHERE (hashint8(position) & 7) = 0;
-- `with`. There are fewer entries with a resource than without: most of what is sent is for a bare JID.
CREATE INDEX search_archive_with_bare ON search_archive (with_bare, position);
CREATE INDEX search_archive_with_full ON search_archive (with_full, position) WHERE with_full IS NOT NULL;

-- The words of a message. They have a table of their own, since they are written later than the message: a column of
-- search_archive would have each row written twice, with its stanza and an entry in every index, and the list of
-- what an index of words still has to sort in would be emptied by those who store messages. It may lag behind, be
-- emptied, and be filled anew by other rules. A row without words: there are none.
CREATE TABLE search_archive_words (
    position bigint NOT NULL,
    received_at_ms bigint NOT NULL,
    owner text COLLATE "C" NOT NULL,
    words tsvector,
    PRIMARY KEY (owner, position, received_at_ms)
) PARTITION BY RANGE (received_at_ms);
-- Each partition has its own, which goes with it. One index knows of no owner: a word that everybody uses leads to
-- everybody's messages, unless what is indexed begins with something of the owner.
CREATE INDEX search_archive_by_words ON search_archive_words USING gin (words);

-- Which partitions there are, by their time. No two overlap, whatever the setting was when they were made.
CREATE TABLE search_archive_partitions (
    from_ms bigint PRIMARY KEY,
    -- Not within it.
    to_ms bigint NOT NULL,
    -- What follows search_archive and search_archive_words in their names.
    suffix text NOT NULL
);

-- What was received before is neither seen nor stored any more, whether its partition has gone or not.
CREATE TABLE search_archive_retention (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    kept_from_ms bigint NOT NULL
);
INSERT INTO search_archive_retention (kept_from_ms) VALUES (0);

-- Times that only a broken clock says: before 2020, and from 2100 on. They take what no period is made for, so
-- every row has a partition.
CREATE TABLE search_archive_early PARTITION OF search_archive FOR VALUES FROM (MINVALUE) TO (1577836800000);
CREATE TABLE search_archive_late PARTITION OF search_archive FOR VALUES FROM (4102444800000) TO (MAXVALUE);
CREATE TABLE search_archive_words_early PARTITION OF search_archive_words
    FOR VALUES FROM (MINVALUE) TO (1577836800000);
CREATE TABLE search_archive_words_late PARTITION OF search_archive_words
    FOR VALUES FROM (4102444800000) TO (MAXVALUE);
INSERT INTO search_archive_partitions (from_ms, to_ms, suffix) VALUES
    (-9223372036854775808, 1577836800000, '_early'), (4102444800000, 9223372036854775807, '_late');

-- Makes the partitions of a period that begins and ends so (whole days): one for each part of it that no other has, as
-- those of another setting may, unless nothing of the part is kept. Those who read and write go on meanwhile: a table
-- that is attached takes no lock that they want.
CREATE FUNCTION search_make_archive_partitions(period_from bigint, period_to bigint) RETURNS void
LANGUAGE plpgsql AS $function$
DECLARE
    part_from bigint := period_from;
    part_to bigint;
    part_suffix text;
    parent text;
BEGIN
    PERFORM set_config('lock_timeout', '1s', true);
    PERFORM pg_advisory_xact_lock(hashtext('search_archive_partitions'));
    WHILE part_from < period_to LOOP
        SELECT p.to_ms INTO part_to FROM search_archive_partitions p
            WHERE p.from_ms <= part_from AND part_from < p.to_ms;
        IF NOT FOUND THEN
            SELECT least(period_to, min(p.from_ms)) INTO part_to
                FROM search_archive_partitions p WHERE p.from_ms > part_from;
            IF part_to > (SELECT r.kept_from_ms FROM search_archive_retention r) THEN
                part_suffix := '_' || to_char(to_timestamp(part_from / 1000) AT TIME ZONE 'UTC', 'YYYYMMDD');
                FOREACH parent IN ARRAY ARRAY['search_archive', 'search_archive_words'] LOOP
                    EXECUTE format(
                        'CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)',
                        parent || part_suffix, parent);
                    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                                   parent, parent || part_suffix, part_from, part_to);
                END LOOP;
                INSERT INTO search_archive_partitions (from_ms, to_ms, suffix)
                    VALUES (part_from, part_to, part_suffix);
            END IF;
        END IF;
        part_from := part_to;
    END LOOP;
END $function$;

-- Drops the oldest partition of which nothing is kept, and says whether there was one. Who waits for a table that is
-- being read holds up all who come after: so it waits for no more than a second.
CREATE FUNCTION search_drop_archive_partition() RETURNS boolean
LANGUAGE plpgsql AS $function$
DECLARE
    dropped search_archive_partitions;
    parent text;
BEGIN
    PERFORM set_config('lock_timeout', '1s', true);
    PERFORM pg_advisory_xact_lock(hashtext('search_archive_partitions'));
    FOR dropped IN SELECT p.* FROM search_archive_partitions p, search_archive_retention r
        WHERE p.to_ms <= r.kept_from_ms ORDER BY p.from_ms LOOP
        IF dropped.suffix = '_early' THEN
            -- It is never missing.
            CONTINUE WHEN NOT EXISTS (SELECT FROM search_archive_early)
                AND NOT EXISTS (SELECT FROM search_archive_words_early);
            TRUNCATE search_archive_early, search_archive_words_early;
        ELSE
            FOREACH parent IN ARRAY ARRAY['search_archive', 'search_archive_words'] LOOP
                EXECUTE format('DROP TABLE %I', parent || dropped.suffix);
            END LOOP;
            DELETE FROM search_archive_partitions p WHERE p.from_ms = dropped.from_ms;
        END IF;
        RETURN true;
    END LOOP;
    RETURN false;
END $function$;

-- Whose statements change a shard's archives: those of the owner of this epoch that were given since it last
-- claimed the shard.
CREATE TABLE search_shard_writers (
    shard integer PRIMARY KEY,
    epoch bigint NOT NULL,
    -- How often it was claimed.
    turn bigint NOT NULL
);

-- Up to which record of `messages` each shard is finished, as the owner of this epoch has last said.
CREATE TABLE search_shard_cursors (
    shard integer PRIMARY KEY,
    epoch bigint NOT NULL,
    cursor bigint NOT NULL
);
