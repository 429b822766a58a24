//! Peers: other programs that do the same, where this machine has them. A script of `bench/peers` starts one on core 0 and
//! says on one line where it listens, and which process it is; the same load and the same figures follow.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    load::{self, Load},
    report::{Report, Row},
    server::{self, Server},
    wire::Ask,
};

/// A started script; it ends what it began when its input ends.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        drop(self.0.wait());
    }
}

/// Every script of the folder, in the order of its name.
pub(crate) async fn run(folder: &Path, seconds: u64, report: &mut Report) -> Result<()> {
    let mut scripts: Vec<_> = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|it| it == "sh"))
        .collect();
    scripts.sort();
    for script in scripts {
        let name = script.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if let Err(error) = one(&script, &name, seconds, report).await {
            report.measured(Row::new(&format!("peer {name}")), Err(error));
        }
    }
    Ok(())
}

/// A peer says one line for each thing that is asked of it: `process method path status [header]… -- body`, after `port N`.
async fn one(script: &Path, name: &str, seconds: u64, report: &mut Report) -> Result<()> {
    let port = server::port()?;
    let mut command = server::on_core(0, script);
    let child = command.arg(port.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut peer = Peer(child);
    let output = BufReader::new(peer.0.stdout.take().context("no output")?);
    let lines: Vec<String> = output.lines().map_while(Result::ok).take_while(|line| line != "ready").collect();
    ensure!(!lines.is_empty(), "the script says that it cannot be had here");
    for line in lines {
        let said = &serde_json::from_str::<serde_json::Value>(&line).with_context(|| line.clone())?;
        let text = |field: &str| said[field].as_str().unwrap_or_default();
        let process = u32::try_from(said["process"].as_u64().context("no process")?)?;
        let mut ask = Ask::get(&format!("127.0.0.1:{port}"), text("path"));
        if said["body"].is_string() {
            ask.method = "POST";
            text("body").clone_into(&mut ask.body);
        }
        ask.headers
            .extend(said["headers"].as_array().into_iter().flatten().filter_map(|it| it.as_str()).map(str::to_owned));
        let status = said["status"].as_u64().and_then(|it| u16::try_from(it).ok()).unwrap_or(200);
        let load = Load { lasts: Duration::from_secs(seconds), ..Load::same(ask.bytes()) };
        let measured = load::run(&Server::other(process, port), &load.expects(status)).await;
        report.measured(Row::new(&format!("peer {name}: {}", text("what"))), measured);
    }
    Ok(())
}
