//! A machine of its own for each test: this system's root directory under another kernel, with capture devices.
//!
//! QEMU emulates the processor, since not every machine that runs the tests lets them use its own for that. The guest has no
//! network and no disk; what it writes is in its memory. Its console goes into a file, and what the test asks and hears over
//! its second serial port: see `guest/agent.sh`. It ends by itself when nobody ends it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use holdfast::clock;
use tempfile::TempDir;

/// A guest's life. It needs a fraction of that on two idle cores; whatever takes longer has failed.
const LIFE: Duration = Duration::from_secs(900);
/// A second emulated machine beside the first would take its processors away.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A running machine. Killed when dropped.
pub struct Guest {
    qemu: Child,
    ask: ChildStdin,
    heard: Receiver<String>,
    asked: u32,
    /// What was heard and not asked for yet, by the number of its command.
    waiting: BTreeMap<u32, VecDeque<String>>,
    /// All that was heard, for when something is missing.
    history: String,
    ends: Instant,
    files: TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// A command that runs in the guest.
#[derive(Clone, Copy, Debug)]
pub struct Running(u32);

impl Guest {
    /// Boots one and waits until it listens.
    pub fn boot() -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let files = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let initramfs = make_initramfs(files.path());
        // Ends with this thread, however that ends.
        let mut qemu = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "qemu-system-x86_64"])
            .args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1G"])
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
            .args(["-serial", &format!("file:{}", files.path().join("console").display()), "-serial", "stdio"])
            .arg("-kernel")
            .arg(kernel().join("vmlinuz"))
            .arg("-initrd")
            .arg(initramfs)
            .args(["-append", "console=ttyS0 loglevel=6 panic=-1 lpj=1000000 no_timer_check"])
            .args(["-virtfs", "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("qemu-system-x86_64 does not start; scripts/setup --test installs it");
        let (say, heard) = sync_channel(10_000);
        let out = BufReader::new(qemu.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if say.send(line).is_err() {
                    break;
                }
            }
        });
        let mut guest = Self {
            ask: qemu.stdin.take().unwrap(),
            qemu,
            heard,
            asked: 0,
            waiting: BTreeMap::new(),
            history: String::new(),
            ends: clock::now() + LIFE,
            files,
            _alone: alone,
        };
        guest.wait_until_ready();
        guest
    }

    fn wait_until_ready(&mut self) {
        loop {
            let line = self.hear();
            assert!(!line.starts_with("guest: "), "{line}\n{}", self.evidence());
            if line.starts_with("ready ") {
                return;
            }
        }
    }

    /// Where a file of the host is put so that the guest finds it under the same name.
    #[cfg(feature = "encode")]
    pub fn files(&self) -> &Path {
        self.files.path()
    }

    /// Starts a command in the guest's shell.
    pub fn start(&mut self, command: &str) -> Running {
        assert!(!command.contains('\n') && command.len() < 1000, "one line that a terminal takes: {command}");
        self.asked += 1;
        let _ = writeln!(self.history, "{} $ {command}", self.asked);
        writeln!(self.ask, "{} {command}", self.asked).unwrap();
        Running(self.asked)
    }

    /// Runs a command in the guest's shell, which must succeed; what it says.
    pub fn run(&mut self, command: &str) -> String {
        let (code, said) = self.outcome(command);
        assert_eq!(code, 0, "{command}\n{}", self.evidence());
        said
    }

    /// Runs a command in the guest's shell; its exit code and what it says.
    pub fn outcome(&mut self, command: &str) -> (i32, String) {
        let running = self.start(command);
        let mut said = String::new();
        loop {
            let line = self.next(running);
            match line.strip_prefix('=').map(str::parse) {
                Some(Ok(code)) => return (code, said.trim_end().to_owned()),
                _ => said = said + &line + "\n",
            }
        }
    }

    /// The next line that a command says, or `=CODE` at its end.
    pub fn next(&mut self, running: Running) -> String {
        loop {
            if let Some(line) = self.waiting.get_mut(&running.0).and_then(VecDeque::pop_front) {
                return line;
            }
            let line = self.hear();
            // Anything else is of the guest's kernel or of the shell itself, and in the history.
            if let Some((number, text)) = line.split_once(' ')
                && let Ok(number) = number.parse()
            {
                self.waiting.entry(number).or_default().push_back(text.to_owned());
            }
        }
    }

    fn hear(&mut self) -> String {
        let Ok(line) = self.heard.recv_timeout(self.ends.saturating_duration_since(clock::now())) else {
            panic!("the guest has ended, or takes longer than {LIFE:?}\n{}", self.evidence());
        };
        let _ = writeln!(self.history, "{line}");
        line
    }

    /// What was asked and said, and the end of the console.
    pub fn evidence(&self) -> String {
        let console = fs::read(self.files.path().join("console")).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        let lines: Vec<&str> = console.lines().collect();
        let end = lines[lines.len().saturating_sub(40)..].join("\n");
        let history: Vec<&str> = self.history.lines().collect();
        let said = history[history.len().saturating_sub(60)..].join("\n");
        format!("---- asked and said ----\n{said}\n---- the guest's console ----\n{end}")
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn kernel() -> PathBuf {
    let kernel = root().join(".tools/kernel");
    assert!(kernel.join("vmlinuz").is_file(), "{} is not there; scripts/setup --test makes it", kernel.display());
    kernel
}

/// What the guest has before it has this system's files: BusyBox, modules, and its first two scripts.
fn make_initramfs(into: &Path) -> PathBuf {
    let (staging, made) = (into.join("initramfs"), into.join("initramfs.cpio"));
    fs::create_dir_all(staging.join("bin")).unwrap();
    fs::write(staging.join("init"), include_str!("guest/init.sh")).unwrap();
    fs::write(staging.join("agent.sh"), include_str!("guest/agent.sh")).unwrap();
    let script = "set -e; cp \"$(command -v busybox)\" bin/busybox; chmod 755 init; cp -r \"$1\"/lib .; \
                  find . | busybox cpio -o -H newc >\"$2\"";
    let outcome =
        Command::new("sh").args(["-c", script, "sh"]).args([&kernel(), &made]).current_dir(&staging).output().unwrap();
    let why = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "no initramfs ({why}); scripts/setup --test installs busybox-static");
    fs::remove_dir_all(&staging).unwrap();
    made
}
