-- In which order cases were written, so that no clock has a say in which of two comes first.
--
-- The same rules and substitutions as in 0001_initial.sql.

ALTER TABLE cases ADD COLUMN number BIGINT NOT NULL DEFAULT 0; -- which case it is, from 1; 0: from before this was counted
CREATE INDEX cases_by_number ON cases (number);
