//! Streams of bytes to devices.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

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

    /// Takes the device's power away and gives it back. Where the harness has no hold of it, the device is asked to restart itself.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where there is no hold of it, or why it did not start again.
    fn restart(&mut self) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }
}

/// Bytes of the longest frame between hosts and the devices of this process, or of an emulator.
pub(super) const FRAME: usize = 16 * 1024;

/// A socket.
pub(super) struct SocketLink(TcpStream);

/// How long a host may take to say that it is there.
const CONNECT: Duration = Duration::from_secs(10);

impl SocketLink {
    /// To whoever listens at an address: the first of those of its name that answers.
    pub(super) fn connect(address: &str) -> io::Result<Self> {
        let mut found = Err(ErrorKind::NotFound.into());
        for address in address.to_socket_addrs()? {
            found = TcpStream::connect_timeout(&address, CONNECT);
            if found.is_ok() {
                break;
            }
        }
        Self::new(found?)
    }

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
}

/// At least a byte; what systems call a time that is over differs.
fn some(read: io::Result<usize>) -> io::Result<usize> {
    match read {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ErrorKind::TimedOut.into()),
        other => other,
    }
}
