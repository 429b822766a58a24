//! The end of a period for many tenants at once: `freehold-closing` makes them and sets the clock, and is watched.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    report::Report,
    server::{cpu, folder, memory},
};

/// How often its memory is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// The process, ended with the bench.
struct Closing(Child);

impl Drop for Closing {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Waits until it says a word; tells the most memory that it held until then.
fn says(process: u32, lines: &Receiver<String>, word: &str) -> Result<f64> {
    let mut most: f64 = 0.0;
    loop {
        most = most.max(memory(process).unwrap_or_default());
        match lines.recv_timeout(LOOK) {
            Ok(line) if line == word => return Ok(most),
            Ok(line) => bail!("it says {line:?}, not {word:?}"),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => bail!("it ended before it said {word:?}"),
        }
    }
}

/// Closes a period of so many tenants, on all cores.
pub(crate) fn run(binary: &Path, tenants: u64, report: &mut Report) -> Result<()> {
    let (_folder, data) = folder()?;
    // Not on the core of the load alone.
    let mut command = Command::new("taskset");
    command.args(["-c", "0-1"]).arg(binary.with_file_name("freehold-closing"));
    command.args(["--tenants", &tenants.to_string(), "--data"]).arg(&data).env("FREEHOLD_LOG", "warn");
    let mut closing = Closing(command.stdout(Stdio::piped()).spawn().context("cannot start freehold-closing")?);
    let process = closing.0.id();
    let (told, lines) = mpsc::channel();
    let output = BufReader::new(closing.0.stdout.take().context("no output")?);
    std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
    says(process, &lines, "begins")?;
    let (begun, used, before) = (Instant::now(), cpu(process)?, memory(process)?);
    let closed_at_most = says(process, &lines, "closed")?;
    let took = begun.elapsed().as_secs_f64();
    let most = closed_at_most.max(says(process, &lines, "settled")?);
    let (all, cpu) = (begun.elapsed().as_secs_f64(), cpu(process)?.saturating_sub(used).as_secs_f64());
    let name = format!("a period closed: {tenants} tenants, 100 usage events each, to the last invoice");
    report.figure(&name, &format!("{took:.1} s"), "<= 60 s", Some(took <= 60.0));
    report.figure("until all that follows was done: ledgers, mails, figures", &format!("{all:.1} s"), "", None);
    let each = cpu * 1_000.0 / f64::from(u32::try_from(tenants)?);
    report.figure("CPU for each tenant, with all that follows", &format!("{each:.1} ms"), "", None);
    let grown = (most - before).max(0.0);
    report.figure("memory before, and how much more at most", &format!("{before:.0} + {grown:.0} MiB"), "", None);
    Ok(())
}
