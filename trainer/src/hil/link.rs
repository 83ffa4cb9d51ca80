//! Streams of bytes to devices.

use std::convert::Infallible;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use consort_wire::{Board, Cost, Ended, Meter, Ram, Rate, Unit, serve};

/// How long a device may take to answer before it is asked again. Not how faults are noticed: those the harness injects itself
/// it knows of.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// A stream of bytes to one device and back.
pub trait Link: Send {
    /// Sends bytes.
    ///
    /// # Errors
    /// When nobody is there.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Waits for bytes: how many came.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] when none have come for some seconds, another when none will.
    fn receive(&mut self, place: &mut [u8]) -> io::Result<usize>;

    /// Takes the device's power away and gives it back.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where the harness has no hold of it, or why it did not start again.
    fn restart(&mut self) -> io::Result<()>;
}

/// The device's own code in a thread, at the other end of a pipe in memory.
pub(super) struct HostLink {
    to: Sender<Vec<u8>>,
    from: Receiver<Vec<u8>>,
}

impl HostLink {
    pub(super) fn start() -> Self {
        let (to, input) = channel();
        let (output, from) = channel();
        thread::spawn(move || device(input, output));
        Self { to, from }
    }
}

impl Link for HostLink {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let gone = |_| io::Error::from(ErrorKind::BrokenPipe);
        self.to.send(bytes.to_vec()).map_err(gone)
    }

    fn receive(&mut self, place: &mut [u8]) -> io::Result<usize> {
        let bytes = self.from.recv_timeout(PATIENCE);
        let bytes = bytes.map_err(|_| io::Error::from(ErrorKind::TimedOut))?;
        // A device writes a frame at once, and `place` has room for the longest.
        let part = place.get_mut(..bytes.len()).ok_or(ErrorKind::InvalidData)?;
        part.copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn restart(&mut self) -> io::Result<()> {
        *self = Self::start();
        Ok(())
    }
}

/// Bytes of the longest frame between hosts and the devices of this process, or of an emulator.
pub(super) const FRAME: usize = 16 * 1024;

/// Bytes of a slot of a device in this process.
const SLOT: usize = 256 * 1024;

/// Values of memory of a device in this process.
const MEMORY: usize = 64 * 1024;

fn device(input: Receiver<Vec<u8>>, output: Sender<Vec<u8>>) {
    let mut pipe = Pipe {
        input,
        output,
        rest: Vec::new(),
    };
    let mut flash = Box::new(Ram::<{ 2 * SLOT }>::new());
    loop {
        let board = Board {
            target: "host",
            flash: &mut *flash,
            base: 0,
            slot_len: SLOT as u32,
            memory: &mut vec![0.0; MEMORY],
            values: &mut vec![0.0; FRAME / 4],
        };
        match serve::<_, _, _, FRAME>(&mut pipe, board, &mut Stopwatch) {
            Ok(Ended::Restart) => {}
            Ok(Ended::Closed) | Err(_) => return,
        }
    }
}

/// The device's end of the pipe.
struct Pipe {
    input: Receiver<Vec<u8>>,
    output: Sender<Vec<u8>>,
    /// What was received and not yet read.
    rest: Vec<u8>,
}

impl embedded_io::ErrorType for Pipe {
    type Error = Infallible;
}

impl embedded_io::Read for Pipe {
    fn read(&mut self, place: &mut [u8]) -> Result<usize, Infallible> {
        if self.rest.is_empty() {
            // When the host is gone the stream has ended.
            self.rest = self.input.recv().unwrap_or_default();
        }
        let len = place.len().min(self.rest.len());
        place[..len].copy_from_slice(&self.rest[..len]);
        self.rest.drain(..len);
        Ok(len)
    }
}

impl embedded_io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        // Nobody minds what a device says to a host that is gone.
        let _ = self.output.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Measures time; this process's stack is not watched.
struct Stopwatch;

impl Meter for Stopwatch {
    fn rate(&self) -> Rate {
        Rate {
            unit: Unit::Nanoseconds,
            units: 1,
            ticks: 1,
        }
    }

    fn measure<R>(&mut self, work: impl FnOnce() -> R) -> (Cost, R) {
        let start = Instant::now();
        let result = work();
        let ticks = u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX);
        (Cost { ticks, stack: None }, result)
    }
}

/// A socket.
pub(super) struct SocketLink(TcpStream);

impl SocketLink {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        // Frames are small and each waits for the other.
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }
}

impl Link for SocketLink {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn receive(&mut self, place: &mut [u8]) -> io::Result<usize> {
        some(self.0.read(place))
    }

    fn restart(&mut self) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }
}

/// A serial port.
pub(super) struct SerialLink(serial2::SerialPort);

impl SerialLink {
    pub(super) fn open(port: &str, baud: u32) -> io::Result<Self> {
        let mut port = serial2::SerialPort::open(port, baud)?;
        port.set_read_timeout(PATIENCE)?;
        Ok(Self(port))
    }
}

impl Link for SerialLink {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn receive(&mut self, place: &mut [u8]) -> io::Result<usize> {
        some(self.0.read(place))
    }

    fn restart(&mut self) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }
}

/// At least a byte; what systems call a time that is over differs.
fn some(read: io::Result<usize>) -> io::Result<usize> {
    match read {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ErrorKind::TimedOut.into()),
        other => other,
    }
}
