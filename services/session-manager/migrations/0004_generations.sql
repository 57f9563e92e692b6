-- Which account of a name it is: another one for each that has had it. Those that are older than this column are
-- the first.
ALTER TABLE accounts ADD COLUMN generation bigint NOT NULL DEFAULT 1;

-- The last account of a name that was removed: for how long nobody may have the name again is configuration.
CREATE TABLE removed_accounts (
    owner text PRIMARY KEY,
    generation bigint NOT NULL,
    removed_at timestamptz NOT NULL DEFAULT now()
);
