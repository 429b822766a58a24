//! The servers that tests run against: each on free ports and in a folder of its own, stopped by its process id.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::places;

/// One started server.
pub(crate) struct Server {
    /// The variable that names it to the tests, and its address.
    pub(crate) variable: (&'static str, String),
    process: String,
    folder: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that ended by itself is no reason to leave the others running.
        drop(Command::new("kill").arg(&self.process).stderr(Stdio::null()).status());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// A port with two more free ones after it.
fn ports() -> Result<u16> {
    for _ in 0..100 {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = first.local_addr()?.port();
        let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if port < 65_000 && free(port + 1) && free(port + 2) {
            return Ok(port);
        }
    }
    anyhow::bail!("no three free ports in a row")
}

fn start(name: &str, variable: &'static str, address: impl Fn(u16) -> String) -> Result<Server> {
    let port = ports()?;
    // Not below a home directory: PostgreSQL's own user must be able to enter it.
    let folder = PathBuf::from(format!("/tmp/freehold-test-{name}-{}", std::process::id()));
    let scripts = places::root().join("xtask/servers");
    let kind = if scripts.join(format!("{name}.py")).exists() { "python" } else { name };
    let mut command = Command::new(scripts.join(format!("{kind}.sh")));
    command.arg(places::cache()?).arg(&folder).arg(port.to_string()).arg(name);
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot run {kind}.sh"))?;
    let process = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let server = Server { variable: (variable, address(port)), process, folder };
    ensure!(output.status.success() && !server.process.is_empty(), "{kind}.sh did not start {name}");
    Ok(server)
}

/// Starts what can be started here; the second part says what cannot, and why.
pub(crate) fn start_all() -> (Vec<Server>, Vec<String>) {
    let postgres =
        start("postgres", "FREEHOLD_TEST_POSTGRES", |port| format!("postgresql://postgres@127.0.0.1:{port}/postgres"));
    let cassandra = start("cassandra", "FREEHOLD_TEST_CQL", |port| format!("127.0.0.1:{port}"));
    let mailpit = start("mailpit", "FREEHOLD_TEST_MAILPIT", |port| format!("127.0.0.1:{port}"));
    let localstripe = start("localstripe", "FREEHOLD_TEST_LOCALSTRIPE", |port| format!("http://127.0.0.1:{port}"));
    let stripe_mock = start("stripe-mock", "FREEHOLD_TEST_STRIPE_MOCK", |port| format!("http://127.0.0.1:{port}"));
    let mollie = start("mollie", "FREEHOLD_TEST_MOLLIE", |port| format!("http://127.0.0.1:{port}"));
    let mut servers = Vec::new();
    let mut missing = Vec::new();
    for server in [postgres, cassandra, mailpit, localstripe, stripe_mock, mollie] {
        match server {
            Ok(server) => servers.push(server),
            Err(error) => missing.push(format!("{error:#}")),
        }
    }
    (servers, missing)
}

/// A client that others wrote: the variable that names its folder to the tests, its folder in `e2e`, its script.
const CLIENTS: &[(&str, &str, &str)] = &[
    ("FREEHOLD_TEST_OIDC_CLIENT", "oidc", "sign_in.mjs"),
    ("FREEHOLD_TEST_OFREP_CLIENT", "ofrep", "evaluate.mjs"),
    ("FREEHOLD_TEST_BROWSER", "pages", "check.mjs"),
    ("FREEHOLD_TEST_WEBHOOKS_CLIENT", "webhooks", "verify.mjs"),
];

/// The same in Go: built from its folder in `e2e`.
const GO_CLIENTS: &[(&str, &str)] = &[("FREEHOLD_TEST_TLOG_CLIENT", "tlog")];

/// Installs the clients that the tests drive; the second part says which cannot be, and why.
pub(crate) fn install_clients() -> (Vec<(&'static str, PathBuf)>, Vec<String>) {
    let (mut clients, mut missing) = (Vec::new(), Vec::new());
    for (variable, name, script) in CLIENTS {
        match client(name, script) {
            Ok(folder) => clients.push((*variable, folder)),
            Err(error) => missing.push(format!("{error:#}")),
        }
    }
    match java_client("ubl") {
        Ok(folder) => clients.push(("FREEHOLD_TEST_UBL_VALIDATOR", folder)),
        Err(error) => missing.push(format!("{error:#}")),
    }
    for (variable, name) in GO_CLIENTS {
        match go_client(name) {
            Ok(folder) => clients.push((*variable, folder)),
            Err(error) => missing.push(format!("{error:#}")),
        }
    }
    (clients, missing)
}

fn go_client(name: &str) -> Result<PathBuf> {
    let folder = places::cache()?.join(format!("{name}-client"));
    let mut command = Command::new("go");
    command.args(["build", "-mod=readonly", "-o"]).arg(folder.join("client")).arg(".");
    let built = command.current_dir(places::root().join("e2e").join(name)).status();
    ensure!(built.context("cannot run go")?.success(), "go did not build the client of e2e/{name}");
    Ok(folder)
}

fn java_client(name: &str) -> Result<PathBuf> {
    let folder = places::cache()?.join(format!("{name}-client"));
    let (own, libraries) = (folder.display().to_string(), folder.join("lib").display().to_string());
    let mut command = Command::new("mvn");
    command.args(["--quiet", "--batch-mode", "compile", "dependency:copy-dependencies"]);
    command.args([format!("-Dclient.folder={own}"), format!("-DoutputDirectory={libraries}")]);
    let built = command.current_dir(places::root().join("e2e").join(name)).stdout(Stdio::null()).status();
    ensure!(built.context("cannot run mvn")?.success(), "mvn did not build the client of e2e/{name}");
    Ok(folder)
}

fn client(name: &str, script: &str) -> Result<PathBuf> {
    if name == "pages" {
        let chromium = Command::new("chromium").arg("--version").stdout(Stdio::null()).status();
        ensure!(chromium.is_ok_and(|status| status.success()), "there is no chromium to look at pages with");
    }
    let folder = places::cache()?.join(format!("{name}-client"));
    let sources = places::root().join("e2e").join(name);
    std::fs::create_dir_all(&folder)?;
    for file in ["package.json", "package-lock.json", script] {
        std::fs::copy(sources.join(file), folder.join(file)).with_context(|| format!("cannot copy {file}"))?;
    }
    let installed =
        Command::new("npm").args(["ci", "--silent", "--no-audit", "--no-fund"]).current_dir(&folder).status();
    ensure!(installed.context("cannot run npm")?.success(), "npm did not install the client of e2e/{name}");
    Ok(folder)
}
