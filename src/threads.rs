//! How many threads a run gets: more than one only where there is something for them to do.

use relocfix::{Error, ErrorKind, Result};

/// So many bytes are read before another thread has started.
const FEW: u64 = 1 << 20;

/// Starts as many threads as are asked for, else one for few bytes, else one for each core. A single one is this one.
///
/// # Errors
/// The system does not start them.
pub(crate) fn start(asked: Option<usize>, bytes: u64) -> Result<()> {
    let threads = match asked {
        Some(threads) => threads,
        None if bytes < FEW => 1,
        // They start when they are first needed.
        None => return Ok(()),
    };
    let mut pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    if threads == 1 {
        pool = pool.use_current_thread();
    }
    let started = pool.build_global();
    started.map_err(|error| Error::new(ErrorKind::Io, "", format!("cannot start {threads} threads: {error}")))
}
