//! The program that is measured, on a core of its own where there are two, and what the system says of it.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::wire::{Ask, Reply, Wire};

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_mins(1);
/// The unit of `/proc/PID/stat` on every Linux that runs today (`getconf CLK_TCK`).
const TICK: Duration = Duration::from_millis(10);

/// A running installation.
pub(crate) struct Server {
    /// Ours to end; a peer's is its script's.
    child: Option<Child>,
    process: u32,
    pub(crate) port: u16,
    /// From the start of the process to `ready`.
    pub(crate) started_in: Duration,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A free port.
pub(crate) fn port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A command on a core of its own, where the machine has several and `taskset` is there.
pub(crate) fn on_core(core: usize, program: &Path) -> Command {
    // Of the machine, not of the bench, which has one core.
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default().matches("processor\t").count();
    let there = Command::new("taskset").arg("--version").stdout(Stdio::null()).status().is_ok();
    if processors < 2 || !there {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    command
}

impl Server {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(binary: &Path, data: &Path, settings: &[(&str, &str)]) -> Result<Self> {
        let port = port()?;
        let begun = Instant::now();
        let mut child = on_core(0, binary)
            .args(["--listen", &format!("127.0.0.1:{port}"), "--data"])
            .arg(data)
            .current_dir(data.parent().context("the data has no folder")?)
            .env("FREEHOLD_LOG", "warn")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let output = BufReader::new(child.stdout.take().context("no output")?);
        let lines = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                into.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let mut server = Self { process: child.id(), child: Some(child), port, started_in: Duration::ZERO, lines };
        while server.find(|line| line.starts_with("ready").then_some(())).is_none() {
            if let Some(status) = server.child.as_mut().map_or(Ok(None), Child::try_wait)? {
                bail!("it ended with {status}: {}", server.all());
            }
            if begun.elapsed() > PATIENCE {
                bail!("it is not ready: {}", server.all());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        server.started_in = begun.elapsed();
        Ok(server)
    }

    /// A program that something else has started.
    pub(crate) fn other(process: u32, port: u16) -> Self {
        Self { child: None, process, port, started_in: Duration::ZERO, lines: Arc::default() }
    }

    fn all(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// The first thing found in what it has printed.
    pub(crate) fn find<T>(&self, look: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().find_map(|line| look(line))
    }

    /// How many mails it has shown.
    pub(crate) fn mails(&self) -> usize {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|line| line.starts_with("--- mail to ")).count()
    }

    /// The ticket of the link in the mail to an address.
    pub(crate) fn ticket(&self, address: &str) -> Option<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mail = lines.iter().position(|line| *line == format!("--- mail to {address} ---"))?;
        let link = lines.iter().skip(mail).find_map(|line| line.split_once("ticket="))?;
        link.1.split(|end: char| end == '&' || end.is_whitespace()).next().map(str::to_owned)
    }

    /// The CPU that it has taken, of user and system.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        cpu(self.process)
    }

    /// The memory that it holds, in MiB.
    pub(crate) fn memory(&self) -> Result<f64> {
        memory(self.process)
    }

    /// Asks once.
    pub(crate) async fn ask(&self, ask: &Ask) -> Result<Reply> {
        Wire::open(self.port).await?.ask(&ask.bytes()).await
    }
}

/// The CPU that a process has taken, of user and system.
pub(crate) fn cpu(process: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    ticks(&stat).map(|ticks| TICK * ticks).context("/proc has no CPU time")
}

/// The memory that a process holds, in MiB.
pub(crate) fn memory(process: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("/proc has no memory")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

/// User and system time, the 14th and 15th field; the second may contain blanks and brackets.
fn ticks(stat: &str) -> Option<u32> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u32>().ok()? + fields.next()?.parse::<u32>().ok()?)
}

/// Waits until something is there.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(found) = look().await {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bail!("waited too long: {what}")
}

/// A folder for data that is gone afterwards.
pub(crate) fn folder() -> Result<(tempfile::TempDir, PathBuf)> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    Ok((folder, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_read_past_a_name_with_blanks() {
        assert_eq!(ticks("12 (a (b) c) S 1 1 1 0 -1 4194560 1 0 0 0 7 5 0 0 20 0 9"), Some(12));
    }
}
