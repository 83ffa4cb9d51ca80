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
    child: Child,
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
        let (child, link) = launch(&command).map_err(|source| HilError::Emulator {
            program: command.first().cloned().unwrap_or_default(),
            source,
        })?;
        Ok(Self {
            command,
            child,
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
            Err(error) if error.kind() != ErrorKind::TimedOut => match self.child.try_wait() {
                Ok(Some(status)) => Err(io::Error::other(format!("the emulator ended: {status}"))),
                _ => received,
            },
            _ => received,
        }
    }

    fn restart(&mut self) -> io::Result<()> {
        stop(&mut self.child);
        (self.child, self.link) = launch(&self.command)?;
        Ok(())
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

fn stop(child: &mut Child) {
    // One that has ended already cannot be killed, which is as well.
    let _ = child.kill();
    let _ = child.wait();
}

/// Starts an emulator whose console is a socket to us.
fn launch(command: &[String]) -> io::Result<(Child, SocketLink)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    let (program, arguments) = command.split_first().ok_or(ErrorKind::InvalidInput)?;
    let mut child = Command::new(program)
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
    let connected = accept(&listener, &mut child);
    if connected.is_err() {
        stop(&mut child);
    }
    Ok((child, connected?))
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
