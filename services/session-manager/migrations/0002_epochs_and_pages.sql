-- The epoch of the shard's owner that wrote the row: what an older owner says later changes nothing.
ALTER TABLE session_packets ADD COLUMN epoch bigint NOT NULL DEFAULT -1;
ALTER TABLE parked_sessions ADD COLUMN epoch bigint NOT NULL DEFAULT -1;

-- A new owner reads its shard page by page, in the order of these keys, byte by byte: it compares the
-- place that it has reached with users' addresses.
CREATE INDEX session_packets_pages ON session_packets (shard, owner COLLATE "C", session_id, seq);
CREATE INDEX parked_sessions_pages ON parked_sessions (shard, owner COLLATE "C", session_id);
DROP INDEX session_packets_shard;
DROP INDEX parked_sessions_shard;
