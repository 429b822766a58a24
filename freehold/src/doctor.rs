//! What would keep it from running: each finding says what to do.

use std::{net::TcpListener, process::ExitCode};

use crate::{config::Config, remote};

struct Finding {
    good: bool,
    what: String,
}

fn found(good: bool, what: impl Into<String>) -> Finding {
    Finding { good, what: what.into() }
}

fn port(config: &Config) -> Finding {
    match TcpListener::bind(config.listen) {
        Ok(_) => found(true, format!("{} is free", config.listen)),
        Err(error) => found(
            false,
            format!(
                "{} cannot be used ({error}): stop what listens there, or choose another with --listen",
                config.listen
            ),
        ),
    }
}

fn folder(config: &Config) -> Finding {
    let probe = config.data.join(".doctor");
    // As much as a busy hour may need.
    let written = std::fs::create_dir_all(&config.data).and_then(|()| std::fs::write(&probe, vec![1; 16 << 20]));
    drop(std::fs::remove_file(&probe));
    let shown = config.data.display();
    match written {
        Ok(()) => found(true, format!("{shown} can be written, and has room")),
        Err(error) => found(
            false,
            format!("{shown} cannot be written ({error}): free some space, or give its owner the right to write"),
        ),
    }
}

fn keyring(config: &Config) -> Finding {
    use std::os::unix::fs::PermissionsExt;
    let file = config.data.join("keyring");
    let shown = file.display();
    match std::fs::metadata(&file) {
        Err(_) => found(true, format!("{shown} will be made at the first start")),
        Ok(known) if known.permissions().mode() & 0o077 != 0 => {
            found(false, format!("{shown} can be read by others: run chmod 600 {shown}"))
        }
        Ok(_) => match std::fs::read(&file) {
            Ok(_) => found(true, format!("{shown} can be read by its owner only")),
            Err(error) => found(false, format!("{shown} cannot be read ({error}): run as its owner")),
        },
    }
}

fn store(config: &Config) -> Finding {
    let file = config.data.join(sqlite::STORE);
    let shown = file.display();
    if !file.exists() {
        return found(true, format!("{shown} will be made at the first start"));
    }
    match sqlite::backup::check(&file) {
        Ok(()) => found(true, format!("{shown} is sound")),
        Err(error) => found(
            false,
            format!("{error}: start nothing on it, keep a copy, and run `freehold restore` with the last backup"),
        ),
    }
}

/// The files that belong to one tenant each. Nobody else is harmed by a broken one.
fn tenants(config: &Config) -> Vec<Finding> {
    let store = config.data.join(sqlite::STORE);
    // What is wrong with the store itself is found above.
    let names = if store.exists() { sqlite::backup::homes(&store).unwrap_or_default() } else { Vec::new() };
    let count = names.len();
    let broken = names.iter().filter_map(|name| sqlite::backup::check(&config.data.join(name)).err());
    let remedy = "only this tenant is refused; keep a copy, and bring it back from the last backup";
    let mut findings: Vec<_> = broken.map(|error| found(false, format!("{error}: {remedy}"))).collect();
    if findings.is_empty() && count > 0 {
        findings.push(found(true, format!("the files of {count} tenants are sound")));
    }
    findings
}

fn clock() -> Finding {
    let now = kernel::Clock::now(&kernel::time::SystemClock);
    let year = now.to_string().get(..4).and_then(|year| year.parse::<u32>().ok()).unwrap_or(0);
    if (2025..2100).contains(&year) {
        return found(true, format!("the clock says {now}"));
    }
    found(false, format!("the clock says {now}: set it, or tokens and sessions end at the wrong time"))
}

fn mail(config: &Config) -> Finding {
    match &config.smtp.host {
        Some(host) => found(true, format!("mail goes to {host}:{}", config.smtp.port)),
        None => found(true, "no mail server is set: mail is shown on the console (set smtp.host for real use)"),
    }
}

/// Prints the findings; fails when one is bad.
pub(crate) fn run(config: &Config) -> ExitCode {
    let mut findings = vec![port(config), folder(config), keyring(config)];
    if let Some(url) = &config.store {
        findings.extend(remote::inspect(url).into_iter().map(|(good, what)| found(good, what)));
    } else {
        findings.push(store(config));
        findings.extend(tenants(config));
    }
    findings.extend([clock(), mail(config)]);
    for finding in &findings {
        println!("{} {}", if finding.good { "ok  " } else { "BAD " }, finding.what);
    }
    println!("freehold {}", env!("CARGO_PKG_VERSION"));
    if findings.iter().all(|finding| finding.good) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
