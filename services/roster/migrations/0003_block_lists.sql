-- One row for each user who has ever blocked somebody (XEP-0191): the addresses, the oldest first.
CREATE TABLE block_lists (
    owner text PRIMARY KEY,
    jids text[] NOT NULL,
    -- Rises with each change.
    revision bigint NOT NULL
);
