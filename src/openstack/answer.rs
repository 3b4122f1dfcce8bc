//! What went wrong, read from a service's answer or from the transport.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use super::call::Call;
use super::error::{Answer, Error};

/// A service's words are cut after this many characters.
const MESSAGE_MAX: usize = 600;

/// The error that an answer is.
pub(super) fn refusal(
    call: &Call,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    attempts: u32,
) -> Error {
    let request_id = headers
        .get("x-openstack-request-id")
        .or_else(|| headers.get("x-compute-request-id"))
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let answer = Box::new(Answer {
        call: call.doing.clone(),
        service: call.service,
        status: status.as_u16(),
        message: words(body),
        request_id,
    });
    match status.as_u16() {
        401 => Error::Unauthorized(answer),
        403 => Error::Forbidden {
            answer,
            right: call.right,
        },
        404 => Error::NotFound(answer),
        409 => Error::Conflict(answer),
        429 => Error::Unavailable {
            answer,
            attempts,
            retry_after: retry_after(headers),
            maybe_done: false,
        },
        // A proxy that waited in vain for a part of the request, or of its answer.
        408 | 500..=599 => Error::Unavailable {
            answer,
            attempts,
            retry_after: retry_after(headers),
            maybe_done: call.writes(),
        },
        _ => Error::Refused(answer),
    }
}

/// How long the service wants to be left alone: seconds, or a date.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    // Relative to the server's own clock, which wrote both.
    let now = chrono::DateTime::parse_from_rfc2822(headers.get("date")?.to_str().ok()?).ok()?;
    Some((until - now).to_std().unwrap_or(Duration::ZERO))
}

/// The service's words in an error body, in any of OpenStack's forms; cut and without control characters.
fn words(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(value) => message(&value, 3).unwrap_or_else(|| value.to_string()),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let mut plain: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MESSAGE_MAX)
        .collect();
    plain.truncate(plain.trim_end().len());
    plain
}

/// `{"message": ..}`, `{"description": ..}`, or either within the first object: `{"badRequest": {..}}`.
fn message(value: &Value, depth: u8) -> Option<String> {
    let object = value.as_object()?;
    ["message", "description", "faultstring"]
        .iter()
        .find_map(|key| object.get(*key)?.as_str())
        .map(str::to_owned)
        .or_else(|| {
            let deeper = depth.checked_sub(1)?;
            object.values().find_map(|inner| message(inner, deeper))
        })
}
