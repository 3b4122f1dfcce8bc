//! Notifications, and each one's way to each receiver.

statements! {
    OUTBOX_HAS = "SELECT event FROM outbox WHERE event = ?";
    OUTBOX_TOLD = "SELECT event FROM outbox WHERE topic = ? AND created_at > ? AND created_at <= ?";
    OUTBOX_INSERT =
        "INSERT INTO outbox (event, kind, payload, topic, created_at, state, attempts, next_attempt_at) \
         VALUES (?, ?, ?, ?, ?, 'pending', 0, 0)";
    OUTBOX_NEW =
        "SELECT event, kind, payload, created_at, attempts FROM outbox WHERE state = 'pending' \
         ORDER BY created_at, event LIMIT ?";
    OUTBOX_HANDED = "UPDATE outbox SET state = 'handed' WHERE event = ? AND state = 'pending'";
    OUTBOX_LATEST =
        "SELECT event, kind, payload, created_at, attempts FROM outbox ORDER BY created_at DESC, event LIMIT ?";
    OUTBOX_OLD =
        "SELECT event FROM outbox WHERE created_at < ? AND state = 'handed' ORDER BY created_at, event LIMIT ?";
    OUTBOX_DELETE = "DELETE FROM outbox WHERE event = ?";
    DELIVERY_INSERT =
        "INSERT INTO deliveries (event, receiver, state, attempts, next_attempt_at) VALUES (?, ?, 'pending', 0, ?)";
    DELIVERIES_DUE =
        "SELECT o.event, o.kind, o.payload, o.created_at, d.attempts FROM deliveries d \
         JOIN outbox o ON o.event = d.event WHERE d.receiver = ? AND d.state = 'pending' \
         AND (d.next_attempt_at <= ? OR d.next_attempt_at > ?) ORDER BY o.created_at, o.event LIMIT ?";
    DELIVERY_TAKE =
        "UPDATE deliveries SET attempts = attempts + 1, next_attempt_at = ? WHERE event = ? AND receiver = ? \
         AND state = 'pending' AND (next_attempt_at <= ? OR next_attempt_at > ?)";
    DELIVERY_ATTEMPTS = "SELECT attempts FROM deliveries WHERE event = ? AND receiver = ? AND state = 'pending'";
    DELIVERY_DONE =
        "UPDATE deliveries SET state = 'delivered', finished_at = ?, last_error = NULL \
         WHERE event = ? AND receiver = ? AND state = 'pending'";
    DELIVERY_AGAIN =
        "UPDATE deliveries SET next_attempt_at = ?, last_error = ? WHERE event = ? AND receiver = ? AND state = 'pending'";
    DELIVERY_GIVE_UP =
        "UPDATE deliveries SET state = 'dead', finished_at = ?, last_error = ? \
         WHERE event = ? AND receiver = ? AND state = 'pending'";
    DELIVERIES_HASTEN =
        "UPDATE deliveries SET next_attempt_at = ? WHERE receiver = ? AND state = 'pending' AND next_attempt_at > ?";
    DELIVERIES_OF =
        "SELECT receiver, state, attempts, next_attempt_at, finished_at, last_error FROM deliveries \
         WHERE event = ? ORDER BY receiver";
    DELIVERIES_DEAD =
        "SELECT o.event, o.kind, o.payload, o.created_at, d.attempts, d.receiver, d.state, d.next_attempt_at, \
         d.finished_at, d.last_error FROM deliveries d JOIN outbox o ON o.event = d.event WHERE d.state = 'dead' \
         ORDER BY o.created_at, o.event, d.receiver";
    DELIVERIES_WAITING_RECEIVERS = "SELECT DISTINCT receiver FROM deliveries WHERE state = 'pending'";
    DELIVERIES_ABANDON =
        "UPDATE deliveries SET state = 'dead', finished_at = ?, last_error = ? WHERE receiver = ? AND state = 'pending'";
    DELIVERY_REVIVE =
        "UPDATE deliveries SET state = 'pending', attempts = 0, next_attempt_at = ?, finished_at = NULL \
         WHERE event = ? AND receiver = ? AND state = 'dead'";
    DELIVERIES_DELETE = "DELETE FROM deliveries WHERE event = ?";
}
