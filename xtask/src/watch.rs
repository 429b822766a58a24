//! A command whose output is followed line by line, and that is ended when it has been silent for too long.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    time::Duration,
};

use anyhow::{Context, Result};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Good,
    Bad,
    /// It said nothing for so long that it was ended, with all that it had started.
    Silent,
}

/// Runs it in a process group of its own and gives each line of both its outputs to `line`.
pub(crate) fn follow(command: &mut Command, patience: Duration, mut line: impl FnMut(&str)) -> Result<End> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))?;
    let (send, lines) = mpsc::channel();
    read(child.stdout.take().context("no output")?, send.clone());
    read(child.stderr.take().context("no output")?, send);
    loop {
        match lines.recv_timeout(patience) {
            Ok(text) => line(&text),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let group = format!("-{}", child.id());
                drop(Command::new("kill").args(["-KILL", "--", &group]).status());
                child.wait()?;
                return Ok(End::Silent);
            }
        }
    }
    Ok(if child.wait()?.success() { End::Good } else { End::Bad })
}

fn read(from: impl Read + Send + 'static, to: Sender<String>) {
    std::thread::spawn(move || {
        let lines = BufReader::new(from).lines().map_while(Result::ok);
        // Whoever listened has gone when it fails: then nobody wants the rest.
        lines.map(|line| to.send(line)).all(|sent| sent.is_ok());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, patience: Duration) -> (End, Vec<String>) {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        let end = follow(command.args(["-c", script]), patience, |line| lines.push(line.to_owned())).unwrap();
        (end, lines)
    }

    #[test]
    fn what_hangs_is_ended_with_its_children() {
        let (end, lines) = shell("echo begun; sleep 1000 & echo $!; wait", Duration::from_secs(2));
        assert_eq!((end, lines[0].as_str()), (End::Silent, "begun"));
        let stat = format!("/proc/{}/stat", lines[1].trim());
        // A killed child stays a zombie for as long as nobody has taken its end; it runs no more in either case.
        let ended = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        assert!((0..1_000).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            ended()
        }));
    }

    #[test]
    fn both_outputs_and_the_end_are_told() {
        let patience = Duration::from_mins(1);
        let (end, mut lines) = shell("echo one; echo two >&2; exit 3", patience);
        lines.sort();
        assert_eq!((end, lines), (End::Bad, vec!["one".to_owned(), "two".to_owned()]));
        assert_eq!(shell("true", patience).0, End::Good);
    }
}
