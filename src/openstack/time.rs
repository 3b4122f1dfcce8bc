//! OpenStack's ways to write a time: with or without zone (always UTC), with or without microseconds.

use chrono::{DateTime, NaiveDateTime};
use serde::{Deserialize, Deserializer};

use crate::clock::Timestamp;

/// Reads any of them.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(Timestamp::from_millis(at.timestamp_millis()));
    }
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .map(|at| Timestamp::from_millis(at.and_utc().timestamp_millis()))
}

/// For `#[serde(deserialize_with)]`: null and a missing field are `None`, nonsense is an error.
pub(super) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    parse(&text)
        .map(Some)
        .ok_or_else(|| serde::de::Error::custom("not a time as OpenStack writes it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_services_way_to_write_a_time_is_read() {
        let same = "2026-11-21T03:15:32Z".parse().unwrap();
        for text in [
            "2026-11-21T03:15:32.000000",
            "2026-11-21T03:15:32Z",
            "2026-11-21T03:15:32.000000Z",
            "2026-11-21 03:15:32",
            "2026-11-21T03:15:32",
        ] {
            assert_eq!(parse(text), Some(same), "{text}");
        }
        assert_eq!(parse("yesterday"), None);
    }
}
