//! The file itself: opened by many at once, killed in the middle of writing, out of room, too new, not a database.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::*;

/// Names the database to a test that runs as the child of another one, and what it is to do there.
const CHILD: &str = "LAZARET_TEST_CHILD";

/// Runs `child` of this file in a process of its own.
fn child(task: &str, path: &Path, wrapper: &[&str]) -> Child {
    let program = std::env::current_exe().unwrap();
    let arguments = [
        "--exact",
        "store::tests::files::in_a_child",
        "--include-ignored",
        "--nocapture",
    ];
    let mut command = match wrapper {
        [] => Command::new(&program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(&program);
            command
        }
    };
    command
        .args(arguments)
        .env(CHILD, format!("{task} {}", path.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What the child said, line by line; the test runner's own lines are left out.
fn said(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    lines.filter_map(|line| line.split_once("said: ").map(|(_, said)| said.to_owned()))
}

fn say(text: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "said: {text}").unwrap();
    out.flush().unwrap();
}

#[tokio::test]
#[ignore = "does its work as the child of other tests"]
async fn in_a_child() {
    let Ok(order) = std::env::var(CHILD) else { return };
    let (task, path) = order.split_once(' ').unwrap();
    match task {
        "open" => {
            let store = Store::open(Path::new(path)).await.unwrap();
            say(store.hosts().await.unwrap().len());
        }
        "write" => write_without_end(Path::new(path)).await,
        "fill" => say(fill(Path::new(path)).await),
        other => panic!("no task {other}"),
    }
}

/// Each turn writes into several tables twice, and says its number when it is kept.
async fn write_without_end(path: &Path) {
    let store = Store::open(path).await.unwrap();
    let name = host("cmp-1");
    let case = store.unclosed_case(&name).await.unwrap().unwrap().id;
    let later = NOW.plus(2 * MINUTE);
    let of_host = store
        .lease(LeaseKind::Host(name.clone()), "child", later, MINUTE)
        .await
        .unwrap()
        .unwrap();
    let of_case = store
        .lease(LeaseKind::Case(case), "child", later, MINUTE)
        .await
        .unwrap()
        .unwrap();
    for number in 2..=u128::from(u64::MAX) {
        let mut round = round(&name, 2, Verdict::Affirming);
        round.id = RoundId::new(number.to_be_bytes());
        let mut recording = recording(round);
        recording.history = Some(Json::from(serde_json::json!(recording.round.id)));
        recording.notifications = vec![notification(&recording.round.id.to_string())];
        store.record(&of_host, &recording, NOW).await.unwrap();
        let detail = Json::from(serde_json::json!(u64::try_from(number).unwrap()));
        store.begin_step(&of_case, "disable", &detail, NOW).await.unwrap();
        say(number);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_of_writing_nothing_is_half_written() {
    for kill in 0..12_u64 {
        let scratch = Scratch::new();
        let store = scratch.open().await;
        let case = opened(&store, "cmp-1", 1).await;
        let mut child = child("write", &scratch.path, &[]);
        let mut lines = said(&mut child);
        let turns = usize::try_from(1 + kill % 4 * 9).unwrap();
        let mut last: i64 = lines.by_ref().take(turns).last().unwrap().parse().unwrap();
        // A turn takes some milliseconds: each kill lands in another part of one.
        std::thread::sleep(Duration::from_micros(kill * 400));
        child.kill().unwrap();
        child.wait().unwrap();
        if let Some(line) = lines.last() {
            last = line.parse().unwrap();
        }
        store.close().await;

        let store = scratch.open().await;
        store.sound().await.unwrap();
        let journal = store.journal_of(&case).await.unwrap();
        let numbers: Vec<i64> = journal.iter().map(|entry| entry.detail.read().unwrap()).collect();
        let kept = i64::try_from(numbers.len()).unwrap();
        assert_eq!(
            numbers,
            (2..2 + kept).collect::<Vec<_>>(),
            "a prefix without gaps"
        );
        let journaled = kept + 1;
        assert!(
            journaled == last || journaled == last + 1,
            "said {last}, journaled {journaled}"
        );
        assert_eq!(
            store.steps(&case).await.unwrap()[0].attempts,
            kept,
            "the step and its journal agree"
        );

        let known = store.host(&host("cmp-1")).await.unwrap().unwrap();
        let round = known.last.unwrap().round;
        assert_eq!(
            known.history.unwrap().read::<RoundId>().unwrap(),
            round,
            "the host's row is of one round"
        );
        assert!(store.round(round).await.unwrap().is_some());
        let told = store.notifications(100_000).await.unwrap();
        let rounds = store.latest_rounds(&host("cmp-1"), 100_000).await.unwrap();
        assert_eq!(
            told.len(),
            rounds.len() - 1,
            "each round of the child's has its notification"
        );
        assert!(
            told.iter()
                .any(|(notification, _)| notification.key == round.to_string())
        );
    }
}

/// Puts evidence until there is no room; what was kept, and the error.
async fn fill(path: &Path) -> String {
    let store = Store::open(path).await.unwrap();
    let mut kept = 0_u32;
    loop {
        let bytes = kept.to_be_bytes().repeat(25_000);
        match store.put_evidence(&bytes, NOW).await {
            Ok(_) => kept += 1,
            Err(error) => return format!("{kept} {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn out_of_room_is_said_and_loses_nothing() {
    let scratch = Scratch::new();
    scratch.open().await.close().await;
    // 4 MiB for each file, in blocks of 512 bytes; the signal is ignored, so that the write itself fails.
    let limit = ["sh", "-c", "trap '' XFSZ; ulimit -f 8192; exec \"$0\" \"$@\""];
    let mut child = child("fill", &scratch.path, &limit);
    let line = said(&mut child).last().unwrap();
    assert!(child.wait().unwrap().success());
    let (kept, error) = line.split_once(' ').unwrap();
    let kept: u32 = kept.parse().unwrap();
    assert!(kept > 10, "{line}");
    assert!(
        error.contains("keeping evidence") && error.contains("full") && error.contains("nothing was written"),
        "{error}"
    );

    let store = scratch.open().await;
    store.sound().await.unwrap();
    for number in 0..kept {
        let bytes = number.to_be_bytes().repeat(25_000);
        assert_eq!(
            store.evidence(Sha256Digest::of(&bytes)).await.unwrap(),
            Some(bytes)
        );
    }
    let refused = Sha256Digest::of(&kept.to_be_bytes().repeat(25_000));
    assert_eq!(
        store.evidence(refused).await.unwrap(),
        None,
        "what was refused is not there"
    );
    store.put_evidence(b"room again", NOW).await.unwrap();
}

#[tokio::test]
async fn a_database_at_its_limit_is_full_and_goes_on_after() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let limit = |pages: &'static str| sqlx::query(pages).execute(&store.writer);
    limit("PRAGMA max_page_count = 100").await.unwrap();
    let error = store.put_evidence(&[7; 1_000_000], NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
    limit("PRAGMA max_page_count = 1000000").await.unwrap();
    store.put_evidence(&[7; 1_000_000], NOW).await.unwrap();
}

#[tokio::test]
async fn a_database_held_by_another_program_is_said_to_be_locked() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    sqlx::query("PRAGMA busy_timeout = 20")
        .execute(&store.writer)
        .await
        .unwrap();
    let mut other = connect(&scratch.path).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let error = store.put_evidence(b"x", NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    assert!(store.hosts().await.unwrap().is_empty(), "reading goes on");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    store.put_evidence(b"x", NOW).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_open_a_new_database_at_once() {
    let scratch = Scratch::new();
    let mut children: Vec<_> = (0..3).map(|_| child("open", &scratch.path, &[])).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let path = scratch.path.clone();
        tasks.spawn(async move { Store::open(&path).await.unwrap() });
    }
    let stores = tasks.join_all().await;
    for child in &mut children {
        assert_eq!(said(child).last().as_deref(), Some("0"));
        assert!(child.wait().unwrap().success());
    }
    enrolled(&stores[0], "cmp-1").await;
    assert_eq!(stores[5].hosts().await.unwrap().len(), 1);
    let mode = std::fs::metadata(&scratch.path).unwrap().permissions().mode() & 0o007;
    assert_eq!(mode, 0, "not for everybody");
}

#[tokio::test]
async fn a_database_that_root_makes_belongs_to_whoever_the_directory_belongs_to() {
    let scratch = Scratch::new();
    let directory = scratch.path.parent().unwrap();
    // Only root can give a directory away; anybody else is the owner of both.
    let gave_away = std::os::unix::fs::chown(directory, Some(65534), Some(65534)).is_ok();
    if gave_away {
        scratch.open().await;
        assert_eq!(std::fs::metadata(&scratch.path).unwrap().uid(), 65534);
    }
}

#[tokio::test]
async fn opened_again_everything_is_there_and_nothing_is_migrated_twice() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let case = opened(&store, "cmp-1", 1).await;
    store.close().await;
    let store = scratch.open().await;
    assert!(store.case(&case).await.unwrap().is_some());
    store.sound().await.unwrap();
    let applied = sqlx::query("SELECT version FROM _sqlx_migrations")
        .fetch_all(&store.reader)
        .await
        .unwrap();
    assert_eq!(applied.len(), MIGRATIONS.len());
    assert!(
        sqlx::query("DELETE FROM hosts")
            .execute(&store.reader)
            .await
            .is_err(),
        "readers only read"
    );
}

#[tokio::test]
async fn a_database_from_a_newer_lazaret_is_left_alone() {
    let scratch = Scratch::new();
    scratch.open().await.close().await;
    let mut other = connect(&scratch.path).await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (99, 'later', 1, x'00', 0)";
    sqlx::query(newer).execute(&mut other).await.unwrap();
    let error = Store::open(&scratch.path).await.unwrap_err();
    assert!(
        matches!(error, StoreError::NewerSchema { found: 99, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("newer lazaret"), "{error}");

    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = 99")
        .execute(&mut other)
        .await
        .unwrap();
    sqlx::query("UPDATE _sqlx_migrations SET checksum = x'00'")
        .execute(&mut other)
        .await
        .unwrap();
    let error = Store::open(&scratch.path).await.unwrap_err();
    assert!(matches!(error, StoreError::Migrate { .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_database_is_refused_by_name() {
    let scratch = Scratch::new();
    std::fs::write(
        &scratch.path,
        "not a database, but long enough to be looked at ".repeat(100),
    )
    .unwrap();
    let error = Store::open(&scratch.path).await.unwrap_err().to_string();
    assert!(error.contains("lazaret.db"), "{error}");
    let error = Store::open(Path::new("/nonexistent/lazaret.db"))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/nonexistent/lazaret.db") && error.contains("directory must exist"),
        "{error}"
    );
}

async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path))
        .await
        .unwrap()
}
