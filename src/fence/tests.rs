//! The proof of a fence under held time: which signals make it, and which break it.

use std::sync::Mutex;
use std::time::Duration;

use crate::clock::{ManualClock, Timestamp};
use crate::ids::HostName;

use super::*;

/// A signal that says one thing after the other, and the last for ever.
struct Says<T>(Mutex<Vec<T>>);

impl<T: Clone> Says<T> {
    fn new(words: &[T]) -> Self {
        Self(Mutex::new(words.iter().rev().cloned().collect()))
    }

    fn next(&self) -> T {
        let mut words = self.0.lock().unwrap();
        if words.len() > 1 {
            words.pop().unwrap()
        } else {
            words[0].clone()
        }
    }
}

impl PowerSignal for Says<Power> {
    fn method(&self) -> String {
        "scripted".to_owned()
    }

    async fn power(&self) -> Result<Power, Error> {
        match self.next() {
            Power::Other(word) if word == "unreadable" => Err(Error::WhichSystem {
                method: self.method(),
                found: 0,
            }),
            Power::Other(word) if word == "hang" => std::future::pending().await,
            power => Ok(power),
        }
    }
}

impl HeartbeatSignal for Says<Option<i64>> {
    type Error = &'static str;

    async fn last_heartbeat(&self, _within: Duration) -> Result<Option<Timestamp>, &'static str> {
        match self.next() {
            Some(-1) => Err("nova is down"),
            heartbeat => Ok(heartbeat.map(Timestamp::from_millis)),
        }
    }
}

impl AgentSignal for Says<bool> {
    async fn answers(&self) -> Result<bool, String> {
        Ok(self.next())
    }
}

const WATCH: Watch = Watch {
    off_polls: 3,
    poll_interval: Duration::from_secs(2),
    heartbeat_silence: Duration::from_secs(20),
    deadline: Duration::from_secs(60),
};

async fn observe(
    power: &[Power],
    heartbeat: &[Option<i64>],
    agent: &[bool],
) -> (Duration, Result<Fenced, NotFenced>) {
    let host: HostName = "cmp-1".parse().unwrap();
    let clock = ManualClock::new(Timestamp::from_millis(0));
    let begin = tokio::time::Instant::now();
    let (power, heartbeat, agent) = (Says::new(power), Says::new(heartbeat), Says::new(agent));
    let outcome = Fenced::observe(&host, &power, &heartbeat, &agent, &WATCH, &clock).await;
    (begin.elapsed(), outcome)
}

#[tokio::test(start_paused = true)]
async fn three_signals_that_agree_for_long_enough_are_a_proof() {
    let (took, outcome) = observe(&[Power::Off], &[Some(7)], &[false]).await;
    let fenced = outcome.unwrap();
    assert_eq!(
        took,
        Duration::from_secs(20),
        "not before the heartbeat was silent long enough"
    );
    assert_eq!(fenced.off_seen().len(), 3);
    assert!(fenced.heartbeat_silent_for() >= WATCH.heartbeat_silence);
    let words = fenced.to_string();
    assert!(words.contains("cmp-1") && words.contains("scripted"), "{words}");
}

/// Each reading takes 25 s, as where this process is stopped with the answer in its hands: what the answer said was so
/// when it was asked for.
#[tokio::test(start_paused = true)]
async fn a_heartbeat_stands_still_until_it_was_asked_for_not_until_the_answer_is_read() {
    struct Late;
    impl HeartbeatSignal for Late {
        type Error = &'static str;

        async fn last_heartbeat(&self, _within: Duration) -> Result<Option<Timestamp>, &'static str> {
            tokio::time::sleep(Duration::from_secs(25)).await;
            Ok(Some(Timestamp::from_millis(7)))
        }
    }
    let clock = ManualClock::new(Timestamp::from_millis(0));
    let watch = Watch {
        deadline: Duration::from_secs(300),
        ..WATCH
    };
    let (power, agent) = (Says::new(&[Power::Off]), Says::new(&[false]));
    let host: HostName = "cmp-1".parse().unwrap();
    let fenced = Fenced::observe(&host, &power, &Late, &agent, &watch, &clock)
        .await
        .unwrap();
    // Answered at 25 s, asked for the last time at 54 s, answered at 79 s.
    assert_eq!(fenced.heartbeat_silent_for(), Duration::from_secs(29));
    assert_eq!(fenced.asked().elapsed(), Duration::from_secs(25));
}

#[tokio::test(start_paused = true)]
async fn powering_off_is_not_off() {
    for word in ["PoweringOff", "unreadable", "hang"] {
        let (took, outcome) = observe(&[Power::Other(word.to_owned())], &[Some(7)], &[false]).await;
        let error = outcome.unwrap_err();
        assert!(!error.power.is_off() && !error.contradicts(), "{error}");
        assert!(took <= WATCH.deadline, "{took:?}");
    }
    let (_, outcome) = observe(&[Power::Other("unreadable".to_owned())], &[Some(7)], &[false]).await;
    assert!(outcome.unwrap_err().heartbeat.is_off());
}

#[tokio::test(start_paused = true)]
async fn off_must_be_seen_in_a_row() {
    // Never three in a row within the minute.
    let flicker: Vec<Power> = (0..60)
        .map(|n| if n % 3 == 2 { Power::On } else { Power::Off })
        .collect();
    let (_, outcome) = observe(&flicker, &[Some(7)], &[false]).await;
    assert!(!outcome.unwrap_err().power.is_off());
}

#[tokio::test(start_paused = true)]
async fn a_bmc_that_says_off_while_the_heart_beats_is_contradicted() {
    let beating: Vec<Option<i64>> = (0..100).map(|n| Some(n * 10)).collect();
    let (_, outcome) = observe(&[Power::Off], &beating, &[false]).await;
    let error = outcome.unwrap_err();
    assert!(error.contradicts() && error.agent.is_off(), "{error}");
    assert!(error.to_string().contains("heartbeat NOT OFF"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_answers_is_alive() {
    let (_, outcome) = observe(&[Power::Off], &[Some(7)], &[true]).await;
    let error = outcome.unwrap_err();
    assert!(
        error.contradicts() && error.power.is_off() && error.heartbeat.is_off(),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_nova_does_not_tell_proves_nothing() {
    let (_, outcome) = observe(&[Power::Off], &[None], &[false]).await;
    assert!(matches!(outcome.unwrap_err().heartbeat, Seen::Unreadable(_)));
    let (_, outcome) = observe(&[Power::Off], &[Some(-1)], &[false]).await;
    assert!(matches!(outcome.unwrap_err().heartbeat, Seen::Unreadable(_)));
    // Unreadable in between, equal before and after: it stood still.
    let gap = [Some(7), Some(-1), Some(-1), Some(7)];
    assert!(observe(&[Power::Off], &gap, &[false]).await.1.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_last_word_counts_for_every_signal() {
    // The heart beats once more after half of the silence: the count begins anew.
    let once_more: Vec<Option<i64>> = [vec![Some(7); 5], vec![Some(8)]].concat();
    let (took, outcome) = observe(&[Power::Off], &once_more, &[false]).await;
    assert!(outcome.is_ok());
    assert_eq!(took, Duration::from_secs(30));
}

#[test]
fn an_agents_port_is_the_one_of_its_url() {
    for (url, host, port) in [
        ("https://cmp-1:7990", "cmp-1", 7990),
        ("https://10.0.0.7/", "10.0.0.7", 443),
        // The brackets belong to the URL: no address resolves with them.
        ("https://[fd00::7]:7990", "fd00::7", 7990),
    ] {
        let agent = AgentPort::of(&url.parse().unwrap(), Duration::from_secs(3));
        assert_eq!((agent.host.as_str(), agent.port), (host, port), "{url}");
    }
}
