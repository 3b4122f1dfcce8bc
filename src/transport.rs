//! One request and its whole answer, bounded; and what went wrong on the way to a service, in words.

use std::io;

use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, StatusCode};
use tokio::net::TcpStream;

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The way broke.
    OnTheWay {
        /// Why, in words.
        reason: String,
        /// No connection came about: the request was not sent.
        unsent: bool,
    },
    /// The answer is larger than it may be.
    TooLarge,
}

/// Sends a request once, and reads its answer up to this many bytes.
pub(crate) async fn exchange(request: RequestBuilder, most: usize) -> Result<Answered, Lost> {
    #[cfg(test)]
    if let Some(network) = model::here() {
        return network.exchange(request.build().map_err(lost)?).await;
    }
    let mut response = request.send().await.map_err(lost)?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        if body.len() + chunk.len() > most {
            return Err(Lost::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answered {
        status,
        headers,
        body,
    })
}

/// Whether something accepts a connection there.
pub(crate) async fn connect(host: &str, port: u16) -> io::Result<()> {
    #[cfg(test)]
    if let Some(network) = model::here() {
        return network.connect(host, port).await;
    }
    TcpStream::connect((host, port)).await.map(drop)
}

fn lost(error: reqwest::Error) -> Lost {
    Lost::OnTheWay {
        unsent: error.is_connect(),
        reason: reason(error),
    }
}

/// A transport error with its causes, without the URL (the caller names it).
pub fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}

/// A network within the process, for the simulation: all requests of one thread go to a model instead of the wire, so
/// that the order of things is the simulation's. Not a part of what ships.
#[cfg(test)]
pub(crate) mod model {
    use std::cell::RefCell;
    use std::io;
    use std::pin::Pin;
    use std::sync::Arc;

    use super::{Answered, Lost};

    pub(crate) type Coming<T> = Pin<Box<dyn Future<Output = T> + Send>>;

    /// What stands in for the network.
    pub(crate) trait Network: Send + Sync {
        fn exchange(&self, request: reqwest::Request) -> Coming<Result<Answered, Lost>>;
        fn connect(&self, host: &str, port: u16) -> Coming<io::Result<()>>;
    }

    thread_local! {
        static HERE: RefCell<Option<Arc<dyn Network>>> = const { RefCell::new(None) };
    }

    pub(super) fn here() -> Option<Arc<dyn Network>> {
        HERE.with_borrow(Option::clone)
    }

    /// Puts a network in place for this thread, or takes it away.
    pub(crate) fn set(network: Option<Arc<dyn Network>>) {
        HERE.set(network);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::model::{Coming, Network};
    use super::*;

    struct Teapot;

    impl Network for Teapot {
        fn exchange(&self, request: reqwest::Request) -> Coming<Result<Answered, Lost>> {
            let body = request.url().path().as_bytes().to_vec();
            Box::pin(async {
                Ok(Answered {
                    status: StatusCode::IM_A_TEAPOT,
                    headers: HeaderMap::new(),
                    body,
                })
            })
        }

        fn connect(&self, _: &str, port: u16) -> Coming<io::Result<()>> {
            Box::pin(async move {
                match port {
                    1 => Ok(()),
                    _ => Err(io::ErrorKind::ConnectionRefused.into()),
                }
            })
        }
    }

    #[tokio::test]
    async fn a_network_within_the_process_is_this_threads_until_it_is_taken_away() {
        let request = || reqwest::Client::new().get("http://127.0.0.1:9/pot");
        model::set(Some(Arc::new(Teapot)));
        let answered = exchange(request(), 99).await.unwrap();
        assert_eq!(
            (answered.status.as_u16(), answered.body.as_slice()),
            (418, &b"/pot"[..])
        );
        assert!(connect("cmp-1", 1).await.is_ok());
        assert!(connect("cmp-1", 2).await.is_err());
        model::set(None);
        // Nothing listens on the discard port of loopback.
        assert!(matches!(
            exchange(request(), 99).await,
            Err(Lost::OnTheWay { unsent: true, .. })
        ));
    }
}
