//! The program on a PostgreSQL database: how it starts, what it refuses, and what a server that dies under load costs.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

mod site;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use reqwest::StatusCode;
use serde_json::{Value, json};
use site::{Person, Site, mailpit, preference, until};

/// The program with a command, on a folder and a database.
fn program(data: &Path, store: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freehold"));
    command.args(["--listen", &format!("127.0.0.1:{}", site::free_port()), "--data"]).arg(data).args(arguments);
    command.current_dir(data.parent().unwrap()).env("FREEHOLD_STORE", store).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_started_says_why_and_tells_no_password() {
    let Some(server) = site::on_postgres() else { return };
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let away = format!("postgres://someone:s3cret@127.0.0.1:{}/none", site::free_port());
    let started = program(&data, &away, &[]);
    assert_eq!(started.status.code(), Some(7), "{}", text(&started));
    let doctor = program(&data, &away, &["doctor"]);
    assert!(!doctor.status.success() && text(&doctor).contains("start the server"), "{}", text(&doctor));
    let config = program(&data, &away, &["config"]);
    for output in [started, doctor, config] {
        assert!(
            text(&output).contains("postgres://127.0.0.1") && !text(&output).contains("s3cret"),
            "{}",
            text(&output)
        );
    }

    let site = Site::start(&data, None, mail).await;
    let own = site::database_of(&server, &data);
    let doctor = program(&folder.path().join("other"), &own, &["doctor"]);
    assert!(text(&doctor).contains("ok   ") && text(&doctor).contains("PostgreSQL"), "{}", text(&doctor));
    let second = program(&folder.path().join("other"), &own, &[]);
    assert_eq!(second.status.code(), Some(4), "two on one database: {}", text(&second));
    drop(site);
    let foreign = program(&folder.path().join("other"), &own, &[]);
    assert_eq!(foreign.status.code(), Some(5), "another keyring: {}", text(&foreign));
    let mut forgotten = Command::new(env!("CARGO_BIN_EXE_freehold"));
    forgotten.args(["--listen", "127.0.0.1:0", "--data"]).arg(&data).current_dir(folder.path());
    let forgotten = forgotten.output().unwrap();
    assert_eq!(forgotten.status.code(), Some(6), "its store is in the database: {}", text(&forgotten));
    assert!(text(&forgotten).contains("name it with `store`"), "{}", text(&forgotten));
    let backup = program(&data, &own, &["backup", "copy", "--keys", "keys"]);
    assert!(!backup.status.success() && text(&backup).contains("pg_dump"), "{}", text(&backup));
    let embedded = folder.path().join("embedded");
    std::fs::create_dir_all(&embedded).unwrap();
    std::fs::write(embedded.join("store.sqlite"), "").unwrap();
    assert_eq!(program(&embedded, &own, &[]).status.code(), Some(6), "a folder that is an installation of its own");
}

/// A server of this test alone, which it may end.
struct Server(PathBuf, u16);

impl Server {
    fn start() -> Self {
        let folder = PathBuf::from(format!("/tmp/freehold-test-restarted-{}", std::process::id()));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../xtask/servers/postgres.sh");
        let port = site::free_port();
        let started = Command::new(script).arg("-").arg(&folder).arg(port.to_string()).output().unwrap();
        assert!(started.status.success(), "{}", text(&started));
        Self(folder, port)
    }

    fn options(&self) -> String {
        let folder = self.0.display();
        format!("-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories='{folder}' -c fsync=off", self.1)
    }

    /// Ends it at once, as a crash would, or starts it.
    fn control(&self, what: &[&str]) -> bool {
        let mut bins: Vec<_> = std::fs::read_dir("/usr/lib/postgresql").unwrap().map(|it| it.unwrap().path()).collect();
        bins.sort();
        let control = bins.pop().unwrap().join("bin/pg_ctl");
        let mut command = if rustix::process::getuid().is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(control);
            command
        } else {
            Command::new(control)
        };
        let log = self.0.join("log");
        command.current_dir("/").arg("-D").arg(self.0.join("data")).arg("-w").arg("-l").arg(log);
        command.arg("-o").arg(self.options()).args(what);
        command.output().unwrap().status.success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.control(&["-m", "immediate", "stop"]);
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Counts up its own preference until it is told to stop; tells the last value, which was acknowledged. What was refused,
/// or not answered, is sent again as it was.
async fn write(person: Person<'_>, writer: u64, acknowledged: &AtomicU64, stop: &AtomicBool) -> u64 {
    let mut next = 1;
    loop {
        let path = format!("/v1/me/preferences/writer.{writer}");
        let answer = person.request("PUT", &path).json(&json!({ "value": next })).send().await.unwrap();
        let status = answer.status();
        if status == StatusCode::OK {
            acknowledged.fetch_add(1, Ordering::Relaxed);
            if stop.load(Ordering::Relaxed) {
                return next;
            }
            next += 1;
        } else {
            let problem: Value = answer.json().await.unwrap();
            let known = [StatusCode::CONFLICT, StatusCode::SERVICE_UNAVAILABLE].contains(&status);
            assert!(known, "{status} {problem}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_under_load_costs_nothing_that_was_acknowledged() {
    if site::on_postgres().is_none() {
        return;
    }
    let Some(mail) = mailpit() else { return };
    let server = Arc::new(Server::start());
    // Beside the writers, which go on meanwhile.
    let control = async |what: &'static [&'static str]| {
        let server = Arc::clone(&server);
        assert!(tokio::task::spawn_blocking(move || server.control(what)).await.unwrap(), "{what:?}");
    };
    let folder = tempfile::tempdir().unwrap();
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", server.1);
    let site = Site::start_with(&folder.path().join("data"), None, mail, &[("FREEHOLD_STORE", url)]).await;
    let (_, owner) = site.company("acme", "Ada", &site::unique("restart")).await;
    let (acknowledged, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let writers = (0..6).map(|writer| write(owner.clone(), writer, &acknowledged, &stop));
    let dies = async {
        for _ in 0..5 {
            let before = acknowledged.load(Ordering::Relaxed);
            let more = async || (acknowledged.load(Ordering::Relaxed) >= before + 60).then_some(());
            until("writes under way", more).await;
            control(&["-m", "immediate", "stop"]).await;
            let (status, answer) = owner.send("GET", "/v1/me/preferences", Value::Null).await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
            control(&["start"]).await;
        }
        stop.store(true, Ordering::Relaxed);
    };
    let (last, ()) = tokio::join!(futures::future::join_all(writers), dies);
    let stored = owner.does("GET", "/v1/me/preferences", Value::Null).await;
    for (writer, last) in last.iter().enumerate() {
        assert_eq!(preference(&stored, &format!("writer.{writer}")), Some(*last), "writer {writer}");
    }
    // Each change is one event, and each event one fact: none lost, none doubled.
    let expected: u64 = last.iter().sum();
    let report = json!({ "measure": "count", "name": "users.PreferenceChanged.v1" });
    let count = async || {
        let rows = owner.does("POST", "/v1/analytics/reports/query", report.clone()).await;
        rows[0]["value"].as_f64()
    };
    #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
    let expected = expected as f64;
    until("all facts", async || count().await.filter(|count| *count >= expected)).await;
    assert!(count().await.is_some_and(|count| (count - expected).abs() < 0.5), "an event had its effect twice");
}
