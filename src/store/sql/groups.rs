//! Held groups: cases with one cause, which wait for a person together.

macro_rules! group_columns {
    () => {
        "id, cause, opened_at, settled_at, settled_by, outcome"
    };
}

statements! {
    GROUP_OF_CAUSE = "SELECT id FROM held_groups WHERE open_cause = ?";
    GROUP_INSERT = "INSERT INTO held_groups (id, cause, open_cause, opened_at) VALUES (?, ?, ?, ?)";
    GROUP = concat!("SELECT ", group_columns!(), " FROM held_groups WHERE id = ?");
    GROUPS = concat!("SELECT ", group_columns!(), " FROM held_groups ORDER BY opened_at DESC, id");
    GROUP_SETTLE =
        "UPDATE held_groups SET open_cause = NULL, settled_at = ?, settled_by = ?, outcome = ? WHERE id = ?";
    GROUP_JOIN =
        "UPDATE cases SET state = 'held', reason = ?, held_group = ?, holds = ? WHERE id = ? AND state = 'open' \
         AND NOT EXISTS (SELECT 1 FROM case_steps s WHERE s.case_id = cases.id AND s.name = 'fence' AND s.state <> 'pending')";
    GROUP_HELD = "SELECT id FROM cases WHERE held_group = ? AND state = 'held' ORDER BY opened_at, id";
}
