//! Every error, mapped once to what a verifier is told: status, problem, and whether to ask again.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use lazaret_wire::{MEDIA_TYPE, Problem, WireError};

use crate::{logs::LogError, tpm::TpmError};

/// Seconds after which asking again makes sense.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");

/// A request that is not answered.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    problem: Problem,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &str, message: impl std::fmt::Display) -> Self {
        Self {
            status,
            problem: Problem::new(code, message),
        }
    }

    /// The identity is not ready.
    pub(super) fn unready(problem: Problem) -> Self {
        let status = match problem.code.as_str() {
            Problem::IDENTITY_LOST => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self { status, problem }
    }
}

impl From<TpmError> for Refusal {
    fn from(error: TpmError) -> Self {
        let status = match &error {
            TpmError::Unreachable { .. }
            | TpmError::Refused { .. }
            | TpmError::Unsteady { .. }
            | TpmError::Busy
            | TpmError::Slow { .. }
            | TpmError::Stopped => StatusCode::SERVICE_UNAVAILABLE,
            TpmError::IdentityLost { .. } | TpmError::BlobDamaged { .. } | TpmError::Blob { .. } => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            TpmError::NoSuchEk(_) | TpmError::CredentialRefused(_) | TpmError::NoSuchPcr(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
        };
        Self {
            status,
            problem: Problem::from(&error),
        }
    }
}

impl From<LogError> for Refusal {
    fn from(error: LogError) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            problem: Problem::from(&error),
        }
    }
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        match &error {
            WireError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, Problem::TOO_LARGE, &error)
            }
            WireError::Malformed { .. } | WireError::NotCanonical { .. } | WireError::BeyondLimits { .. } => {
                Self::new(StatusCode::BAD_REQUEST, Problem::BAD_MESSAGE, &error)
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        tracing::info!(
            status = self.status.as_u16(),
            code = self.problem.code,
            "refused: {}",
            self.problem.message
        );
        // A problem always fits its limits; an empty body would still carry the status.
        let body = lazaret_wire::encode(&self.problem).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}
