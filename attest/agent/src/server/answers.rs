//! The three questions and their answers.

use std::{path::PathBuf, sync::Arc, time::Instant};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Request, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use lazaret_wire::{
    ACTIVATE_PATH, ATTEST_PATH, Activate, Activated, Attest, Evidence, IDENTITY_PATH, MEDIA_TYPE, Message,
    Problem, decode, encode, limits, tls::Pin,
};
use tokio::{sync::Semaphore, time::timeout};
use tracing::info;

use super::refusal::Refusal;
use crate::{
    config::{Config, ImaLog},
    logs,
    tpm::{Tpm, TpmError},
};

/// What answers are made of.
struct Answers {
    host: String,
    /// The agent's own TLS key: the quote binds it.
    pin: Pin,
    tpm: Tpm,
    boot_log: PathBuf,
    ima_log: ImaLog,
    attestations: Arc<Semaphore>,
}

pub(super) fn router(config: &Config, pin: Pin, tpm: Tpm) -> Router {
    let answers = Arc::new(Answers {
        host: config.host.clone(),
        pin,
        tpm,
        boot_log: config.boot_log.clone(),
        ima_log: config.ima_log.clone(),
        attestations: Arc::new(Semaphore::new(config.limits.attestations)),
    });
    let deadline = config.limits.request_timeout();
    Router::new()
        .route(IDENTITY_PATH, get(identity))
        .route(ACTIVATE_PATH, post(activate))
        .route(ATTEST_PATH, post(attest))
        .fallback(not_served)
        .method_not_allowed_fallback(not_served)
        .with_state(answers)
        .layer(DefaultBodyLimit::max(limits::REQUEST))
        .layer(middleware::from_fn(
            move |request: Request, next: Next| async move {
                match timeout(deadline, next.run(request)).await {
                    Ok(response) => response,
                    Err(_) => {
                        let message =
                            format!("no answer could be made in {} s; ask again", deadline.as_secs());
                        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Problem::TPM_SLOW, message)
                            .into_response()
                    }
                }
            },
        ))
}

async fn identity(State(answers): State<Arc<Answers>>) -> Result<Response, Refusal> {
    let identity = answers.tpm.identity().map_err(Refusal::unready)?;
    reply(&*identity)
}

async fn activate(
    State(answers): State<Arc<Answers>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let request: Activate = message(&headers, body)?;
    let kind = request.ek;
    let secret = answers.tpm.activate(request).await?;
    info!(ek = %kind, "credential activated");
    reply(&Activated {
        secret: secret.to_vec(),
    })
}

async fn attest(
    State(answers): State<Arc<Answers>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let asked: Attest = message(&headers, body)?;
    if asked.host != answers.host {
        let message = format!(
            "this agent speaks for host {:?}, not for {:?}; see the agent's URL, and host in its configuration",
            answers.host, asked.host
        );
        return Err(Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            Problem::WRONG_HOST,
            message,
        ));
    }
    let _permit = answers.attestations.try_acquire().map_err(|_| TpmError::Busy)?;
    let began = Instant::now();
    let ima_first = asked.ima_first;
    let qualifying_data = asked.qualifying_data(&answers.pin);
    let quoted = answers.tpm.quote(asked, qualifying_data).await?;
    let quoted_ms = began.elapsed().as_millis();

    // After the quote: a list read before it would lack what the quote covers.
    let (boot_log, ima_log) = (answers.boot_log.clone(), answers.ima_log.clone());
    let read = tokio::task::spawn_blocking(move || {
        Ok::<_, logs::LogError>((logs::boot(&boot_log)?, logs::ima(&ima_log, ima_first)?))
    });
    let (boot_log, ima_log) = read.await.map_err(|_| TpmError::Stopped)??;
    info!(
        ima_first,
        ima_bytes = ima_log.len(),
        quoted_ms,
        total_ms = began.elapsed().as_millis(),
        "attested"
    );
    reply(&Evidence {
        quote: quoted.quote,
        signature: quoted.signature,
        pcrs: quoted.pcrs,
        boot_log,
        ima_log,
        ima_first,
    })
}

async fn not_served() -> Refusal {
    let message = format!("served are GET {IDENTITY_PATH}, POST {ACTIVATE_PATH} and POST {ATTEST_PATH}");
    Refusal::new(StatusCode::NOT_FOUND, Problem::NOT_SERVED, message)
}

/// The message in a request: of the right type, within its limit.
fn message<T: Message>(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<T, Refusal> {
    if headers
        .get(header::CONTENT_TYPE)
        .is_none_or(|kind| kind != MEDIA_TYPE)
    {
        let message = format!("the body of a request must be {MEDIA_TYPE}");
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Problem::BAD_MESSAGE,
            message,
        ));
    }
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let message = format!("a request has at most {} bytes", limits::REQUEST);
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Problem::TOO_LARGE, message)
        }
        status => Refusal::new(status, Problem::BAD_MESSAGE, "the body could not be read"),
    })?;
    Ok(decode(&body)?)
}

fn reply<T: Message>(message: &T) -> Result<Response, Refusal> {
    let body = encode(message)
        .map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, Problem::LOG_TOO_LONG, error))?;
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response())
}
