-- Whose message it is (bare JID): nobody may fill another's store alone. Empty: not known.
ALTER TABLE offline_messages ADD COLUMN sender text NOT NULL DEFAULT '';
