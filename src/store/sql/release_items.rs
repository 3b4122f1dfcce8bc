//! What people did before a host is given back.

statements! {
    ITEM_UPDATE =
        "UPDATE release_items SET state = ?, done_by = ?, because = ?, at = ? WHERE case_id = ? AND item = ?";
    ITEM_INSERT =
        "INSERT INTO release_items (state, done_by, because, at, case_id, item) VALUES (?, ?, ?, ?, ?, ?)";
    ITEMS = "SELECT item, state, done_by, because, at FROM release_items WHERE case_id = ? ORDER BY item";
    HOST_GIVEN_BACK = "UPDATE hosts SET quarantined_by = NULL WHERE name = ? AND quarantined_by = ?";
}
