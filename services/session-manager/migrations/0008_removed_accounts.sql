-- Those that were removed long ago are forgotten, the oldest first.
CREATE INDEX removed_accounts_age ON removed_accounts (removed_at);
