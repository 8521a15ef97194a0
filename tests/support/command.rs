//! Running a program: its output captured, its language C, and an end to it when it hangs.

use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Enough for the slowest thing a test starts, on a machine that does something else as well.
const LIMIT: Duration = Duration::from_secs(120);

/// A program that has come to its end.
pub(crate) struct Finished {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// What it printed.
    pub(crate) stdout: Vec<u8>,
    /// What it complained about.
    pub(crate) stderr: String,
    /// Its command line, for messages.
    pub(crate) shown: String,
}

impl Finished {
    /// Standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// All that is known, for a message.
    pub(crate) fn describe(&self) -> String {
        format!("{}\n{}\nstdout: {}\nstderr: {}", self.shown, self.status, self.text(), self.stderr)
    }

    /// The program again if it ended well.
    ///
    /// # Errors
    /// [`Finished::describe`] otherwise.
    pub(crate) fn success(self) -> Result<Self, String> {
        if self.status.success() { Ok(self) } else { Err(self.describe()) }
    }
}

/// Runs it to its end.
///
/// # Errors
/// It cannot be started, or does not end in [`LIMIT`].
pub(crate) fn run(command: &mut Command) -> Result<Finished, String> {
    let shown = format!("{command:?}");
    let mut child = command
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{shown}: {error}"))?;
    // Both pipes are drained while it runs: a full one would stop it.
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| format!("{shown}: {error}"))? {
            break status;
        }
        if start.elapsed() > LIMIT {
            // Its pipes may be held open by children of its own: do not wait for the threads.
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("{shown}: still running after {} seconds", LIMIT.as_secs()));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    let collected = |thread: thread::JoinHandle<Vec<u8>>| thread.join().unwrap_or_default();
    let stdout = collected(stdout);
    let stderr = String::from_utf8_lossy(&collected(stderr)).into_owned();
    Ok(Finished { status, stdout, stderr, shown })
}

/// Runs it to its end, which must be good.
///
/// # Errors
/// As [`run`], and an exit status that is not 0.
pub(crate) fn succeed(command: &mut Command) -> Result<Finished, String> {
    run(command)?.success()
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}
