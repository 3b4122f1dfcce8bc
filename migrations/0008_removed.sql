-- Which quarantine a host was in when it was removed, so that no clock has a say in which one it is in again.
--
-- The same rules and substitutions as in 0001_initial.sql.

-- Case that the host was in when it was removed (action removed-quarantined); NULL otherwise, and from before this was written.
ALTER TABLE enrolments ADD COLUMN quarantine VARCHAR(32);
