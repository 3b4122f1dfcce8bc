-- Giving a host back: what people did before it.
--
-- The same rules and substitutions as in 0001_initial.sql.

-- What has to be done by a person before a host is given back, and who did it or waived it. Rows are only replaced.
CREATE TABLE release_items (
    case_id VARCHAR(32) NOT NULL, -- the quarantine; for the second person, the release
    item VARCHAR(64) NOT NULL, -- what: message-bus, disk-copies, second-person, ...
    state VARCHAR(16) NOT NULL, -- ticked or waived
    done_by VARCHAR(253) NOT NULL, -- by whom
    because TEXT, -- why it is waived; NULL: it was done
    at BIGINT NOT NULL, -- when
    PRIMARY KEY (case_id, item),
    CONSTRAINT items_of_cases FOREIGN KEY (case_id) REFERENCES cases (id)
);
