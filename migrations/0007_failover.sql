-- What a database that fails over, and daemons whose clocks differ, need.
--
-- The same rules and substitutions as in 0001_initial.sql.

-- Hosts that nova shows as Lazaret's, and of which no case is known, as the last look found them.
CREATE TABLE orphans (
    host VARCHAR(253) NOT NULL PRIMARY KEY, -- the host; it may not be enrolled
    words TEXT NOT NULL, -- what nova shows of it; people are told again when this changes
    found_at BIGINT NOT NULL -- when it was first seen so
);

-- Who waits for a lease watches whether it is renewed, by its own clock, and compares no two clocks.
ALTER TABLE leases ADD COLUMN lasts BIGINT NOT NULL DEFAULT 0; -- for how long it was taken or renewed last, ms; 0: not known
ALTER TABLE leases ADD COLUMN beats BIGINT NOT NULL DEFAULT 0; -- counts takings and renewals
