-- Signed policies: their versions only go up.
--
-- The same rules and substitutions as in 0001_initial.sql.

-- The highest version of each signed policy that was ever in use, by the policy's name.
CREATE TABLE policy_versions (
    name_digest VARCHAR(64) NOT NULL PRIMARY KEY, -- SHA-256 of the name, in hex: a name is longer than a key may be
    name TEXT NOT NULL, -- the policy's name
    version BIGINT NOT NULL, -- its highest version
    digest VARCHAR(64) NOT NULL, -- SHA-256 over all the content of that version
    seen_at BIGINT NOT NULL -- when that version was first in use
);
