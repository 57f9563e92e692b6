-- Up to which record of `rooms` each shard is finished, as the owner of this epoch has last said: every minute,
-- and when the shard was handed over. Read only where Kafka's group has lost its offsets.
CREATE TABLE muc_shard_cursors (
    shard integer PRIMARY KEY,
    epoch bigint NOT NULL,
    cursor bigint NOT NULL
);
