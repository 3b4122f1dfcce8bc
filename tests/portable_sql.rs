//! Every migration and every statement on a real MariaDB and a real PostgreSQL, each started for this on a scratch
//! directory, with a socket only.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lazaret::store::{MIGRATIONS, sql};

/// The migrations with the two substitutions that they name.
fn schema(blob: &str, text: &str) -> String {
    let column = |line: &str| {
        let (code, comment) = line.split_once("--").unwrap_or((line, ""));
        let code = code
            .replace(" BLOB", &format!(" {blob}"))
            .replace(" TEXT", &format!(" {text}"));
        if comment.is_empty() {
            code
        } else {
            format!("{code}--{comment}")
        }
    };
    let texts = MIGRATIONS.iter().flat_map(|(_, _, text)| text.lines());
    texts.map(column).collect::<Vec<_>>().join("\n")
}

/// A server that ends, with its directory, when the test ends.
struct Server {
    child: Child,
    directory: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server's own process: nothing else is ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory that an unprivileged server may use. Its path is short: sockets have room for 107 bytes.
fn scratch() -> tempfile::TempDir {
    let directory = tempfile::Builder::new()
        .prefix("lzsql")
        .tempdir_in("/tmp")
        .unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Feeds a client; what it complained about.
fn feed(command: &mut Command, input: &str) -> Result<(), String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Polls until the server answers.
fn wait_for(what: &str, server: &mut Server, mut answers: impl FnMut(&Path) -> bool) {
    let began = Instant::now();
    while !answers(server.directory.path()) {
        assert!(server.child.try_wait().unwrap().is_none(), "{what} ended at once");
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{what} does not answer"
        );
        sleep(Duration::from_millis(50));
    }
}

/// A statement with PostgreSQL's placeholders.
fn numbered(statement: &str) -> String {
    let mut number = 0;
    let mut text = String::new();
    for part in statement.split_inclusive('?') {
        match part.strip_suffix('?') {
            Some(before) => {
                number += 1;
                text.push_str(&format!("{before}${number}"));
            }
            None => text.push_str(part),
        }
    }
    text
}

#[test]
fn on_mariadb() {
    let directory = scratch();
    let data = directory.path().join("data");
    let root = fs::metadata("/proc/self")
        .map(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
        .unwrap();
    let user: &[&str] = if root { &["--user=root"] } else { &[] };
    let datadir = format!("--datadir={}", data.display());
    run(Command::new("mariadb-install-db")
        .args([
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            &datadir,
        ])
        .args(user));
    let socket = directory.path().join("s");
    let child = Command::new("mariadbd")
        .args(["--no-defaults", "--skip-networking", &datadir])
        .arg(format!("--socket={}", socket.display()))
        .args(user)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut server = Server { child, directory };
    let client = || {
        let mut command = Command::new("mariadb");
        command
            .args(["--no-defaults", "-u", "root"])
            .arg(format!("--socket={}", socket.display()));
        command
    };
    wait_for("mariadbd", &mut server, |_| {
        feed(&mut client(), "SELECT 1").is_ok()
    });

    // Names differ by case, so must keys.
    let create = "CREATE DATABASE lazaret CHARACTER SET utf8mb4 COLLATE utf8mb4_bin; USE lazaret;\n";
    feed(
        &mut client(),
        &format!("{create}{}", schema("LONGBLOB", "LONGTEXT")),
    )
    .unwrap();
    for (name, statement) in sql::all() {
        let prepare = format!("USE lazaret; PREPARE s FROM '{}'", statement.replace('\'', "''"));
        let prepared = feed(&mut client(), &prepare);
        assert!(prepared.is_ok(), "{name}: {prepared:?}");
    }
    assert!(
        feed(
            &mut client(),
            "USE lazaret; PREPARE s FROM 'SELECT nothing FROM hosts'"
        )
        .is_err()
    );
}

#[test]
fn on_postgresql() {
    let Some(programs) = postgresql() else {
        panic!("no /usr/lib/postgresql/*/bin/initdb: install postgresql");
    };
    let directory = scratch();
    let data = directory.path().join("data");
    fs::create_dir(&data).unwrap();
    let root = fs::metadata("/proc/self")
        .map(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
        .unwrap();
    if root {
        // PostgreSQL refuses to run as root.
        for path in [directory.path(), &data] {
            chown(path, Some(NOBODY), Some(NOGROUP)).unwrap();
        }
    }
    let program = |name: &str| {
        let path = programs.join(name);
        if !root {
            return Command::new(path);
        }
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
            .arg(path);
        command
    };
    let data_text = data.display().to_string();
    run(program("initdb").args([
        "--auth=trust",
        "--username=lazaret",
        "--encoding=UTF8",
        "-D",
        &data_text,
    ]));
    let socket = directory.path().display().to_string();
    let child = program("postgres")
        .args(["-D", &data_text, "-c", "listen_addresses=", "-k", &socket])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut server = Server { child, directory };
    let client = || {
        let mut command = program("psql");
        command.args([
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            &socket,
            "-U",
            "lazaret",
            "postgres",
        ]);
        command
    };
    wait_for("postgres", &mut server, |_| {
        feed(&mut client(), "SELECT 1").is_ok()
    });

    feed(&mut client(), &schema("BYTEA", "TEXT")).unwrap();
    for (name, statement) in sql::all() {
        let prepared = feed(&mut client(), &format!("PREPARE s AS {};", numbered(statement)));
        assert!(prepared.is_ok(), "{name}: {prepared:?}");
    }
    assert!(feed(&mut client(), "PREPARE s AS SELECT nothing FROM hosts;").is_err());
}

/// The user and group that nothing belongs to, on Debian.
const NOBODY: u32 = 65534;
const NOGROUP: u32 = 65534;

fn postgresql() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<_> = versions
        .flatten()
        .map(|version| version.path().join("bin"))
        .collect();
    found.retain(|programs| programs.join("initdb").exists());
    found.sort();
    found.pop()
}
