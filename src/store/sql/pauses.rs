//! Pauses: times in which a host or the cloud is left alone. And the times at which the clock was seen to be set.

macro_rules! pause_columns {
    () => {
        "id, host, begins_at, ends_at, because, done_by, made_at, ended_at, ended_by"
    };
}

statements! {
    PAUSE_INSERT =
        "INSERT INTO pauses (id, host, begins_at, ends_at, because, done_by, made_at) VALUES (?, ?, ?, ?, ?, ?, ?)";
    PAUSES_SINCE = concat!(
        "SELECT ", pause_columns!(), " FROM pauses WHERE ends_at > ? ORDER BY begins_at, id"
    );
    PAUSE_NOW = concat!(
        "SELECT ", pause_columns!(), " FROM pauses WHERE ended_at IS NULL AND begins_at <= ? AND ends_at > ? \
         AND (host IS NULL OR host = ?) ORDER BY ends_at DESC LIMIT 1"
    );
    PAUSES_END_HOST =
        "UPDATE pauses SET ended_at = ?, ended_by = ? WHERE host = ? AND ended_at IS NULL AND ends_at > ?";
    PAUSES_END_CLOUD =
        "UPDATE pauses SET ended_at = ?, ended_by = ? WHERE host IS NULL AND ended_at IS NULL AND ends_at > ?";
    JUMP_INSERT = "INSERT INTO clock_jumps (id, seen_at, expected_at) VALUES (?, ?, ?)";
    JUMPS_SINCE = "SELECT seen_at, expected_at FROM clock_jumps WHERE seen_at >= ? ORDER BY seen_at, id";
}
