//! Leases and their epochs.

statements! {
    LEASE_TAKE =
        "UPDATE leases SET owner = ?, epoch = epoch + 1, held_until = ?, lasts = ?, beats = beats + 1 \
         WHERE kind = ? AND id = ? AND (held_until <= ? OR held_until > ?)";
    LEASE_TAKE_OVER =
        "UPDATE leases SET owner = ?, epoch = epoch + 1, held_until = ?, lasts = ?, beats = beats + 1 \
         WHERE kind = ? AND id = ? AND epoch = ? AND beats = ? AND held_until = ?";
    LEASE = "SELECT epoch, held_until, lasts, beats FROM leases WHERE kind = ? AND id = ?";
    LEASE_INSERT =
        "INSERT INTO leases (kind, id, owner, epoch, held_until, lasts, beats) VALUES (?, ?, ?, 1, ?, ?, 1)";
    LEASE_RENEW =
        "UPDATE leases SET held_until = ?, lasts = ?, beats = beats + 1 WHERE kind = ? AND id = ? AND owner = ? AND epoch = ? AND held_until > 0";
    LEASE_RELEASE = "UPDATE leases SET held_until = 0 WHERE kind = ? AND id = ? AND owner = ? AND epoch = ?";
    LEASE_VOID =
        "UPDATE leases SET epoch = epoch + 1, held_until = 0, beats = beats + 1 WHERE kind = ? AND id = ?";
    LEASE_HOLDS =
        "UPDATE leases SET owner = owner WHERE kind = ? AND id = ? AND owner = ? AND epoch = ? AND held_until > ?";
}
