//! The network of the simulation: what daemons send waits here until the simulation lets it happen.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::oneshot;

use super::rounds::Judged;
use crate::ids::HostName;
use crate::respond::tests::cloud::{Answer, Request};
use crate::transport::model::{Coming, Network};
use crate::transport::{Answered, Lost};

/// Something on its way, and whom it is from.
pub(super) struct Flight {
    /// The process that sent it.
    pub(super) by: usize,
    pub(super) what: What,
}

/// What is on its way.
pub(super) enum What {
    /// A request, and where its answer goes.
    Request(Request, oneshot::Sender<Result<Answered, Lost>>),
    /// A connection to an agent.
    Connect(String, oneshot::Sender<io::Result<()>>),
    /// A release asks what a host is.
    Attest(HostName, oneshot::Sender<Judged>),
}

impl Flight {
    fn words(&self) -> (usize, String) {
        let words = match &self.what {
            What::Request(request, _) => format!(
                "{} {} {} {} {}",
                request.at, request.method, request.path, request.query, request.body
            ),
            What::Connect(host, _) => format!("connect {host}"),
            What::Attest(host, _) => format!("attest {host}"),
        };
        (self.by, words)
    }
}

#[derive(Default)]
pub(super) struct Wire {
    state: Mutex<(usize, VecDeque<Flight>)>,
}

impl Wire {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// From now on this process runs.
    pub(super) fn runs(&self, process: usize) {
        self.state.lock().unwrap().0 = process;
    }

    /// The next one. Of several that are on their way at once chance decided which was sent first, for the database works
    /// in threads of its own: here their words decide, so that the same list gives the same course.
    pub(super) fn next(&self) -> Option<Flight> {
        self.next_of(|_| true)
    }

    /// The next of this process that changes something.
    pub(super) fn next_act(&self, process: usize) -> Option<Flight> {
        let acts = |what: &What| matches!(what, What::Request(request, _) if request.acts());
        self.next_of(|flight| flight.by == process && acts(&flight.what))
    }

    fn next_of(&self, wanted: impl Fn(&Flight) -> bool) -> Option<Flight> {
        let flights = &mut self.state.lock().unwrap().1;
        let (first, _) = flights
            .iter()
            .enumerate()
            .filter(|(_, flight)| wanted(flight))
            .min_by_key(|(_, flight)| flight.words())?;
        flights.remove(first)
    }

    /// Asks what a host is; `None`: the daemon is gone.
    pub(super) async fn judge(&self, host: &HostName) -> Option<Judged> {
        let (reply, answer) = oneshot::channel();
        self.send(What::Attest(host.clone(), reply));
        answer.await.ok()
    }

    fn send(&self, what: What) {
        let mut state = self.state.lock().unwrap();
        let by = state.0;
        state.1.push_back(Flight { by, what });
    }
}

impl Network for Wire {
    fn exchange(&self, request: reqwest::Request) -> Coming<Result<Answered, Lost>> {
        let url = request.url();
        let asked = Request {
            at: url.host_str().unwrap_or_default().to_owned(),
            method: request.method().to_string(),
            path: url.path().to_owned(),
            query: url.query().unwrap_or_default().to_owned(),
            body: request
                .body()
                .and_then(reqwest::Body::as_bytes)
                .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
                .unwrap_or_default(),
        };
        let (reply, answer) = oneshot::channel();
        self.send(What::Request(asked, reply));
        Box::pin(async move { answer.await.unwrap_or_else(|_| Err(lost(false))) })
    }

    fn connect(&self, host: &str, _port: u16) -> Coming<io::Result<()>> {
        let (reply, answer) = oneshot::channel();
        self.send(What::Connect(host.to_owned(), reply));
        Box::pin(async move {
            answer
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::ConnectionReset.into()))
        })
    }
}

/// No answer.
pub(super) fn lost(unsent: bool) -> Lost {
    Lost::OnTheWay {
        reason: "the simulation lost it".to_owned(),
        unsent,
    }
}

/// The model's answer, as the client has it.
pub(super) fn answered(answer: Answer) -> Answered {
    let mut headers = HeaderMap::new();
    for (name, value) in answer.headers {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_str(&value).unwrap(),
        );
    }
    Answered {
        status: StatusCode::from_u16(answer.status).unwrap(),
        headers,
        body: answer.body.into_bytes(),
    }
}
