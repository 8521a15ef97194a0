//! Runs what must end well whatever its input is: neither a panic nor a hang, and memory within bounds.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, Once, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// All inputs are small: nothing takes a thousandth of this, unless it does not end.
const LIMIT: Duration = Duration::from_secs(30);

static RUNNING: Mutex<Option<HashMap<ThreadId, (String, Instant)>>> = Mutex::new(None);
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn with_running<T>(f: impl FnOnce(&mut HashMap<ThreadId, (String, Instant)>) -> T) -> T {
    f(RUNNING.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(HashMap::new))
}

/// Runs one trial; a panic and what `f` itself finds wrong are its result, with the trial's name.
pub(crate) fn survive(name: impl Fn() -> String, f: impl FnOnce() -> Result<(), String>) -> Option<String> {
    static WATCH: Once = Once::new();
    WATCH.call_once(watch);
    with_running(|running| running.insert(thread::current().id(), (name(), Instant::now())));
    let result = catch_unwind(AssertUnwindSafe(f));
    with_running(|running| running.remove(&thread::current().id()));
    match result {
        Ok(Ok(())) => None,
        Ok(Err(wrong)) => Some(format!("{}: {wrong}", name())),
        Err(_) => Some(format!("{}: panicked (see the list of panics)", name())),
    }
}

/// Fails if any trial did; says which, and where the panics were.
pub(crate) fn conclude(trials: usize, failures: &[String]) {
    assert!(trials > 0, "nothing was tried");
    if failures.is_empty() {
        return;
    }
    let mut panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    panics.sort();
    panics.dedup();
    let shown = &failures[..failures.len().min(25)];
    panic!(
        "{} of {trials} trials failed:\n{}\npanics:\n{}",
        failures.len(),
        shown.join("\n"),
        panics.join("\n")
    );
}

/// Notes where panics come from instead of printing thousands of them, and ends the process when a trial hangs: a
/// thread cannot be stopped from outside.
fn watch() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // A trial's own thread, or one of those that it has work for it.
        let on_trial = with_running(|running| !running.is_empty());
        if on_trial {
            let mut panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
            panics.push(info.to_string());
        } else {
            default(info);
        }
    }));
    thread::spawn(|| {
        loop {
            thread::sleep(Duration::from_millis(500));
            let hanging = with_running(|running| {
                let mut late = running.values().filter(|(_, start)| start.elapsed() > LIMIT);
                late.next().map(|(name, _)| name.clone())
            });
            if let Some(name) = hanging {
                let seconds = LIMIT.as_secs();
                // The harness would swallow `eprintln` on its threads; this one is ours.
                eprintln!("{name}: still running after {seconds} seconds");
                std::process::abort();
            }
        }
    });
}

/// The most memory that this process has had so far, in bytes.
pub(crate) fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().unwrap();
    kilobytes * 1024
}
