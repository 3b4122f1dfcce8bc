//! Notifications until they are delivered.

statements! {
    OUTBOX_HAS = "SELECT event FROM outbox WHERE event = ?";
    OUTBOX_INSERT =
        "INSERT INTO outbox (event, kind, payload, created_at, state, attempts, next_attempt_at) \
         VALUES (?, ?, ?, ?, 'pending', 0, ?)";
    OUTBOX_DUE =
        "SELECT event, kind, payload, created_at, attempts, last_error FROM outbox \
         WHERE state = 'pending' AND (next_attempt_at <= ? OR next_attempt_at > ?) ORDER BY created_at, event LIMIT ?";
    OUTBOX_TAKE =
        "UPDATE outbox SET attempts = attempts + 1, next_attempt_at = ? \
         WHERE event = ? AND state = 'pending' AND (next_attempt_at <= ? OR next_attempt_at > ?)";
    OUTBOX_ATTEMPTS = "SELECT attempts FROM outbox WHERE event = ? AND state = 'pending'";
    OUTBOX_DELIVERED = "UPDATE outbox SET state = 'delivered', finished_at = ? WHERE event = ? AND state = 'pending'";
    OUTBOX_AGAIN = "UPDATE outbox SET next_attempt_at = ?, last_error = ? WHERE event = ? AND state = 'pending'";
    OUTBOX_GIVE_UP =
        "UPDATE outbox SET state = 'dead', finished_at = ?, last_error = ? WHERE event = ? AND state = 'pending'";
    OUTBOX_DEAD =
        "SELECT event, kind, payload, created_at, attempts, last_error FROM outbox WHERE state = 'dead' \
         ORDER BY created_at, event";
}
