-- Cases of more than one kind: what takes a host out, what keeps new instances off it, and what gives it back.
--
-- The same rules and substitutions as in 0001_initial.sql.

ALTER TABLE cases ADD COLUMN kind VARCHAR(16) NOT NULL DEFAULT 'quarantine'; -- quarantine, unschedule, reschedule or release
ALTER TABLE cases ADD COLUMN parent VARCHAR(32); -- the case that this one undoes: a release's quarantine; NULL: none
