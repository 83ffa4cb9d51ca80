//! Emulated boards: started, watched and stopped.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use serde::Deserialize;

use super::HilError;
use super::link::{Link, SocketLink};

/// The list of boards beside their firmware, as `cargo xtask firmware` writes it.
const LIST: &str = "boards.json";

/// How long an emulator may take to start.
const START: Duration = Duration::from_secs(20);

/// A board that can be emulated.
#[derive(Clone, Debug, Deserialize)]
struct Emulated {
    #[allow(dead_code, reason = "for whoever reads the list")]
    board: String,
    /// A file beside the list.
    firmware: PathBuf,
    /// The emulator and what makes it this board.
    machine: Vec<String>,
}

/// Where the firmware lies: `folder`, or what `CONSORT_FIRMWARE` names, or `target/firmware` here or above.
pub(super) fn firmware(folder: Option<&Path>) -> Result<PathBuf, HilError> {
    if let Some(folder) = folder {
        return Ok(folder.to_owned());
    }
    if let Some(folder) = env::var_os("CONSORT_FIRMWARE") {
        return Ok(folder.into());
    }
    let here = env::current_dir().unwrap_or_default();
    let places = here.ancestors().map(|above| above.join("target/firmware"));
    let mut found = places.filter(|folder| folder.join(LIST).is_file());
    found.next().ok_or(HilError::NoFirmware {
        path: PathBuf::from("target/firmware").join(LIST),
    })
}

/// An emulator at work.
pub(super) struct Emulator {
    command: Vec<String>,
    running: Running,
    link: SocketLink,
}

impl Emulator {
    /// Starts the board called `name`, with the firmware in `folder`.
    pub(super) fn start(name: &str, folder: &Path) -> Result<Self, HilError> {
        let list = folder.join(LIST);
        let none = || HilError::NoFirmware { path: list.clone() };
        let text = fs::read(&list).map_err(|_| none())?;
        let boards: BTreeMap<String, Emulated> =
            serde_json::from_slice(&text).map_err(|error| HilError::List {
                path: list.clone(),
                message: error.to_string(),
            })?;
        let emulated = boards.get(name).ok_or_else(|| HilError::UnknownBoard {
            name: name.to_owned(),
            path: list.clone(),
            known: boards.keys().cloned().collect::<Vec<_>>().join(", "),
        })?;
        let firmware = folder.join(&emulated.firmware);
        if !firmware.is_file() {
            return Err(HilError::NoFirmware { path: firmware });
        }
        let mut command = emulated.machine.clone();
        command.extend(["-display".into(), "none".into(), "-kernel".into()]);
        command.push(firmware.to_string_lossy().into_owned());
        let (running, link) = launch(&command).map_err(|source| HilError::Emulator {
            program: command.first().cloned().unwrap_or_default(),
            source,
        })?;
        Ok(Self {
            command,
            running,
            link,
        })
    }
}

impl Link for Emulator {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        // QEMU 7.2 holds back the last byte that comes to an idle console until there is another; a zero more is no frame.
        let mut bytes = bytes.to_vec();
        bytes.push(0);
        self.link.send(&bytes)
    }

    fn receive(&mut self, place: &mut [u8]) -> io::Result<usize> {
        let received = self.link.receive(place);
        match &received {
            Err(error) if error.kind() != ErrorKind::TimedOut => {
                match self.running.child.try_wait() {
                    Ok(Some(status)) => {
                        Err(io::Error::other(format!("the emulator ended: {status}")))
                    }
                    _ => received,
                }
            }
            _ => received,
        }
    }

    fn restart(&mut self) -> io::Result<()> {
        self.running.stop();
        (self.running, self.link) = launch(&self.command)?;
        Ok(())
    }
}

/// A process that ends with this one, however this one ends.
struct Running {
    child: Child,
    /// Kills the child when this process is gone: a shell that waits for the end of a pipe that nobody else holds.
    watch: Option<Child>,
}

impl Running {
    fn new(child: Child) -> Self {
        let watch = watch(child.id());
        Self { child, watch }
    }

    fn stop(&mut self) {
        // The watch first: once the child is gone, its number may be another's.
        for process in self.watch.iter_mut().chain([&mut self.child]) {
            // One that has ended already cannot be killed, which is as well.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Where there is no shell, or no such signal, an emulator outlives a command that is killed.
fn watch(child: u32) -> Option<Child> {
    if !cfg!(unix) {
        return None;
    }
    Command::new("/bin/sh")
        .args(["-c", "read -r _; kill -9 \"$1\"", "watch"])
        .arg(child.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()
}

/// Starts an emulator whose console is a socket to us.
fn launch(command: &[String]) -> io::Result<(Running, SocketLink)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    let (program, arguments) = command.split_first().ok_or(ErrorKind::InvalidInput)?;
    let child = Command::new(program)
        .args(arguments)
        .args([
            "-chardev",
            &format!("socket,id=host,host=127.0.0.1,port={port},nodelay=on"),
            "-semihosting-config",
            "enable=on,target=native,chardev=host",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let mut running = Running::new(child);
    let link = accept(&listener, &mut running.child)?;
    Ok((running, link))
}

fn accept(listener: &TcpListener, child: &mut Child) -> io::Result<SocketLink> {
    listener.set_nonblocking(true)?;
    let start = Instant::now();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return SocketLink::new(stream);
            }
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            Err(_) => {}
        }
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!("it ended at once: {status}")));
        }
        if start.elapsed() > START {
            return Err(ErrorKind::TimedOut.into());
        }
        thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn sleeping() -> Running {
        let child = Command::new("sleep").arg("600").spawn();
        Running::new(child.unwrap_or_else(|error| panic!("{error}")))
    }

    /// What is left of it after at most five seconds.
    fn ended(child: &mut Child) -> bool {
        (0..500).any(|_| {
            thread::sleep(Duration::from_millis(10));
            !matches!(child.try_wait(), Ok(None))
        })
    }

    #[test]
    fn what_was_started_ends_when_nobody_holds_its_watch() {
        let mut running = sleeping();
        assert!(matches!(running.child.try_wait(), Ok(None)));
        // As when this process is killed: the pipe's end is closed, and nothing else is done.
        let watch = running.watch.as_mut().and_then(|watch| watch.stdin.take());
        drop(watch.unwrap_or_else(|| panic!("a shell")));
        assert!(ended(&mut running.child));
    }

    #[test]
    fn what_is_stopped_leaves_nothing() {
        let mut running = sleeping();
        running.stop();
        for process in running.watch.iter_mut().chain([&mut running.child]) {
            assert!(matches!(process.try_wait(), Ok(Some(_))));
        }
    }
}
