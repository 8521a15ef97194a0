//! A live process through `/proc`: plain reads of files, which neither stop it nor show in it. What can keep them from
//! being read is told apart, each with what to do about it (proc(5), ptrace(2)).

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind as Io, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use relocfix::capture::{Process, Thread, machine_of_program};
use relocfix::session_map::Mapping;
use relocfix::{Error, ErrorKind, Result, proc_maps};

use crate::input::io_reason;

/// What Linux counts times in for programs, per second (`USER_HZ`).
const TICKS: i64 = 100;

/// A process that runs.
#[derive(Debug)]
pub(crate) struct LiveProcess {
    name: String,
    folder: PathBuf,
    machine: relocfix::arch::Machine,
    memory: File,
    /// When it started, so that another one of its number is not taken for it.
    started: String,
}

impl LiveProcess {
    /// Opens the process of that number.
    ///
    /// # Errors
    /// There is none, it has ended, it has no memory, or this user may not read it.
    pub(crate) fn open(pid: u32) -> Result<Self> {
        let name = format!("process {pid}");
        if !Path::new("/proc/self/stat").exists() {
            let message = "/proc shows no processes here: mount it (`mount -t proc proc /proc`)";
            return Err(Error::new(ErrorKind::Io, name, message));
        }
        // In a pid namespace without a /proc of its own, that of those outside is seen, where it has another number.
        if fs::read_link("/proc/self").is_ok_and(|own| own != Path::new(&std::process::id().to_string())) {
            let message = "/proc shows another pid namespace's processes, by other numbers than are used here: mount the \
                           own one (`mount -t proc proc /proc`)";
            return Err(Error::new(ErrorKind::Io, name, message));
        }
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let started = started(&folder).map_err(|error| missing(&name, &error))?;
        if has_ended(&folder) {
            return Err(ended(&name));
        }
        let mut header = Vec::new();
        let program = File::open(folder.join("exe"));
        let read = program.and_then(|file| file.take(64).read_to_end(&mut header));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == Io::NotFound => return Err(without_program(&name, &folder)),
            Err(error) => return Err(unreadable(&name, &folder, &error)),
        }
        let machine = machine_of_program(&name, &header)?;
        let memory = File::open(folder.join("mem")).map_err(|error| unreadable(&name, &folder, &error))?;
        Ok(LiveProcess { name, folder, machine, memory, started })
    }

    /// When it started, in seconds since 1970; early by up to a second.
    fn start_time(&self) -> io::Result<i64> {
        let unknown = || io::Error::other("the process's start is not known");
        let text = fs::read_to_string("/proc/stat")?;
        let boot = text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<i64>().ok());
        let ticks: i64 = self.started.parse().map_err(|_| unknown())?;
        Ok(boot.ok_or_else(unknown)? + ticks / TICKS - 1)
    }

    /// Checks that it is still there, and still the same: what was read in the meantime is its.
    ///
    /// # Errors
    /// It has ended or runs another program.
    pub(crate) fn check_alive(&self) -> Result<()> {
        let same = started(&self.folder).is_ok_and(|started| started == self.started);
        // The memory that was opened is that of the program which ran then.
        let mappings = self.mappings()?;
        let first = mappings.iter().find(|m| m.perms.as_deref().is_some_and(|perms| perms.starts_with('r')));
        let readable = first.is_some_and(|m| self.read(m.range.start, &mut [0]).is_ok());
        if same && readable { Ok(()) } else { Err(ended(&self.name)) }
    }
}

impl Process for LiveProcess {
    fn name(&self) -> &str {
        &self.name
    }

    fn machine(&self) -> relocfix::arch::Machine {
        self.machine
    }

    fn mappings(&self) -> Result<Vec<Mapping>> {
        let text = fs::read(self.folder.join("maps"));
        let text = text.map_err(|error| unreadable(&self.name, &self.folder, &error))?;
        if text.is_empty() {
            return Err(ended(&self.name));
        }
        proc_maps(&self.name, &text)
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.memory.read_exact_at(buffer, address)
    }

    fn places(&self, mapping: &Mapping) -> Vec<PathBuf> {
        let range = format!("{:x}-{:x}", mapping.range.start, mapping.range.end);
        // Whatever its path is, or was, and in whichever mount namespace; not every user may follow it.
        let mapped = self.folder.join("map_files").join(range);
        let path = mapping.path.as_deref().filter(|path| path.starts_with('/')).unwrap_or("/");
        let in_root = self.folder.join("root").join(path.trim_start_matches('/'));
        vec![PathBuf::from(path), mapped, in_root, self.folder.join("exe")]
    }

    fn environment(&self) -> io::Result<Vec<u8>> {
        fs::read(self.folder.join("environ"))
    }

    fn pid(&self) -> Option<u32> {
        own_number(&self.folder)
    }

    fn perf_map(&self) -> io::Result<Option<Vec<u8>>> {
        let Some(pid) = self.pid() else {
            return Ok(None);
        };
        let path = self.folder.join(format!("root/tmp/perf-{pid}.map"));
        // Everybody may put something else there at any time, such as a pipe that nobody writes: what is looked at is
        // what is read, and opening it does not wait.
        let mut open = OpenOptions::new();
        let file = match open.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == Io::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let data = file.metadata()?;
        if !data.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        // Numbers are used again.
        if data.uid() != fs::metadata(&self.folder)?.uid() {
            return Err(io::Error::other("is another user's"));
        }
        if data.mtime() < self.start_time()? {
            return Err(io::Error::other("is older than the process"));
        }
        // No more than there was: it may grow all the time.
        let mut text = Vec::new();
        (&file).take(data.len()).read_to_end(&mut text)?;
        Ok(Some(text))
    }

    fn threads(&self) -> Vec<Thread> {
        let tasks = fs::read_dir(self.folder.join("task")).into_iter().flatten().flatten();
        let of = |task: fs::DirEntry| {
            // What it waits in the kernel for, then its stack and where it is: not told while it runs (proc(5)).
            let call = fs::read_to_string(task.path().join("syscall")).ok()?;
            let stack = call.split_whitespace().rev().nth(1)?.strip_prefix("0x")?;
            Some(Thread { number: own_number(&task.path())?, stack: u64::from_str_radix(stack, 16).ok()? })
        };
        let mut threads: Vec<Thread> = tasks.filter_map(of).collect();
        threads.sort_unstable();
        threads
    }
}

/// What a process or thread calls itself: its number in the innermost pid namespace.
fn own_number(folder: &Path) -> Option<u32> {
    let status = fs::read_to_string(folder.join("status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_whitespace().next_back()?.parse().ok()
}

/// When it started, in clock ticks since the machine did.
fn started(folder: &Path) -> io::Result<String> {
    stat_field(folder, 22)
}

/// A field of `stat` by its number in proc(5), from the third on: the second one is a name in parentheses, which may hold
/// anything.
fn stat_field(folder: &Path, number: usize) -> io::Result<String> {
    let text = fs::read(folder.join("stat"))?;
    let text = String::from_utf8_lossy(&text);
    let after_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    Ok(after_name.split_whitespace().nth(number - 3).unwrap_or_default().to_owned())
}

/// What it is that runs no program: a thread of the kernel by its flags (`PF_KTHREAD` of Linux's `include/linux/sched.h`), else
/// a process that is about to end, which gives its memory back before it is called a zombie.
fn without_program(name: &str, folder: &Path) -> Error {
    const PF_KTHREAD: u64 = 0x0020_0000;
    let flags = stat_field(folder, 9).ok().and_then(|flags| flags.parse::<u64>().ok());
    if flags.is_none_or(|flags| flags & PF_KTHREAD == 0) {
        return ended(name);
    }
    Error::new(ErrorKind::Io, name, "is a thread of the kernel: it has no memory of its own")
}

/// Whether nothing is left of it but its exit status, which its parent has not asked for.
fn has_ended(folder: &Path) -> bool {
    let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
    let state = status.lines().find_map(|line| line.strip_prefix("State:"));
    state.is_none_or(|state| matches!(state.trim_start().chars().next(), Some('Z' | 'X')))
}

fn missing(name: &str, error: &io::Error) -> Error {
    let message = match error.kind() {
        Io::NotFound => "there is none that this user can see: a process in a container has another number outside of \
                         it (`NSpid` of /proc/PID/status has both), and with `hidepid` only its own user and root see it"
            .to_owned(),
        _ => format!("cannot be read: {}", io_reason(error)),
    };
    Error::new(ErrorKind::Io, name, message)
}

fn ended(name: &str) -> Error {
    let message = "has ended or runs another program now: capture it while it runs, or its core file with `--core FILE`";
    Error::new(ErrorKind::Io, name, message)
}

fn unreadable(name: &str, folder: &Path, error: &io::Error) -> Error {
    if has_ended(folder) || error.raw_os_error() == Some(libc::ESRCH) {
        return ended(name);
    }
    if error.kind() != Io::PermissionDenied {
        return Error::new(ErrorKind::Io, name, format!("cannot be read: {}", io_reason(error)));
    }
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let policy = policy(scope.trim());
    let message = format!(
        "its memory cannot be read: {}: run as the same user or as root (a program that changes its user or may not \
         be read is for root alone){policy}",
        io_reason(error)
    );
    Error::new(ErrorKind::Io, name, message)
}

/// What a value of `kernel.yama.ptrace_scope` means for reading memory (Linux, Documentation/admin-guide/LSM/Yama.rst).
fn policy(scope: &str) -> &'static str {
    match scope {
        "" | "0" => "",
        "1" => {
            "; kernel.yama.ptrace_scope is 1, so only its ancestors and root may: start it from the program that \
             captures it, let it call prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY), or use `sysctl kernel.yama.ptrace_scope=0`"
        }
        "2" => "; kernel.yama.ptrace_scope is 2, so only root may",
        // Until the next boot it cannot be changed.
        _ => {
            "; kernel.yama.ptrace_scope is 3, so nobody may, nor change that before the next boot: give a core file \
             with `--core FILE`"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that ends has no program any more, as one of the kernel's never had.
    #[test]
    fn what_ends_is_no_thread_of_the_kernel() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let folder = PathBuf::from(format!("/proc/{}", child.id()));
        while !has_ended(&folder) {
            std::thread::yield_now();
        }
        assert_eq!(fs::read_link(folder.join("exe")).unwrap_err().kind(), Io::NotFound);
        let error = without_program("process", &folder).to_string();
        assert!(error.contains("has ended"), "{error}");
        child.wait().unwrap();
    }

    #[test]
    fn this_process_reads_itself() {
        static MARK: [u8; 5] = *b"here!";
        let process = LiveProcess::open(std::process::id()).unwrap();
        let mut bytes = [0; 5];
        process.read(MARK.as_ptr() as u64, &mut bytes).unwrap();
        assert_eq!(bytes, MARK);
        assert!(process.read(0, &mut bytes).is_err());
        assert!(process.check_alive().is_ok());
    }

    #[test]
    fn each_policy_has_its_remedy() {
        for (scope, remedy) in
            [("0", ""), ("1", "PR_SET_PTRACER_ANY"), ("2", "only root may"), ("3", "--core FILE")]
        {
            assert!(policy(scope).contains(remedy), "{scope}");
        }
        assert_eq!((policy(""), policy("0")), ("", ""));
    }

    #[test]
    fn a_number_without_a_process() {
        // The largest number that Linux gives is 2^22.
        let error = LiveProcess::open(u32::MAX).unwrap_err();
        assert!(error.to_string().starts_with("process 4294967295: there is none"), "{error}");
    }

    #[test]
    fn a_process_that_has_ended() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let process = LiveProcess::open(child.id()).unwrap();
        child.kill().unwrap();
        // Not waited for, it stays a zombie.
        while !has_ended(&process.folder) {
            std::thread::yield_now();
        }
        let expected = format!("process {}: has ended", child.id());
        for error in [LiveProcess::open(child.id()).unwrap_err(), process.check_alive().unwrap_err()] {
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
        child.wait().unwrap();
        assert!(LiveProcess::open(child.id()).is_err());
    }
}
