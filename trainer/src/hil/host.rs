//! A device in this process: the code of all devices, at the other end of a pipe in memory.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use consort_wire::{Board, Cost, Ended, Meter, Ram, Rate, serve};

use super::link::{FRAME, Link, PATIENCE};

/// Bytes of a slot of a device in this process.
const SLOT: usize = 256 * 1024;

/// Values of memory of a device in this process.
const MEMORY: usize = 64 * 1024;

/// What such a device keeps when its power is lost.
pub(super) type Flash = Ram<{ 2 * SLOT }>;

/// The device's own code in a thread, at the other end of a pipe in memory.
pub(super) struct HostLink {
    to: Sender<Vec<u8>>,
    from: Receiver<Vec<u8>>,
    /// Gives back its flash when its line has ended.
    device: Option<JoinHandle<Box<Flash>>>,
}

impl HostLink {
    /// A new device.
    pub(super) fn start() -> Self {
        Self::with(Box::new(Flash::new()))
    }

    fn with(mut flash: Box<Flash>) -> Self {
        let (to, input) = channel();
        let (output, from) = channel();
        let mut pipe = Pipe {
            input,
            output,
            rest: Vec::new(),
        };
        let device = thread::spawn(move || {
            device(&mut pipe, &mut flash);
            flash
        });
        let device = Some(device);
        Self { to, from, device }
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
        // Its line ends, and so does it; another one starts with what its flash holds.
        self.to = channel().0;
        let ended = self.device.take().ok_or(ErrorKind::NotConnected)?;
        let flash = ended
            .join()
            .map_err(|_| io::Error::other("the device panicked"))?;
        *self = Self::with(flash);
        Ok(())
    }
}

/// A device at its end of a stream, until the stream ends. When it is asked to restart, it forgets all but its flash.
pub(super) fn device<S>(stream: &mut S, flash: &mut Flash)
where
    S: embedded_io::Read + embedded_io::Write,
{
    loop {
        let board = Board {
            target: "host",
            flash: &mut *flash,
            base: 0,
            slot_len: SLOT as u32,
            memory: &mut vec![0.0; MEMORY],
            values: &mut vec![0.0; FRAME / 4],
        };
        match serve::<_, _, _, FRAME>(stream, board, &mut Stopwatch) {
            Ok(Ended::Restart) => {}
            Ok(_) | Err(_) => return,
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
        Rate::NANOSECONDS
    }

    fn measure<R>(&mut self, work: impl FnOnce() -> R) -> (Cost, R) {
        let start = Instant::now();
        let result = work();
        let ticks = u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX);
        (Cost { ticks, stack: None }, result)
    }
}
