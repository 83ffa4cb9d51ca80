//! Which board an agent acts on, in words: `host`, `qemu:m4f`, `serial:/dev/ttyACM0@115200`, `tcp:host:port`.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

/// The speed of a serial port that names none.
pub const BAUD: u32 = 115_200;

/// The emulated boards that there is firmware of, behind `qemu:`. A list beside firmware that was built may have others.
pub(super) const EMULATED: [&str; 5] = ["m0", "m3", "m4f", "m33", "riscv32"];

/// A board, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoardSpec {
    /// The device's code in a thread of this process.
    Host,
    /// An emulator that is started for it, by the short name of its board.
    Qemu(String),
    /// A serial port.
    Serial {
        /// The port's name.
        port: String,
        /// Its speed, in bits a second.
        baud: u32,
    },
    /// A socket that answers as a board does.
    Tcp(String),
}

impl fmt::Display for BoardSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.pad("host"),
            Self::Qemu(name) => f.pad(&format!("qemu:{name}")),
            Self::Serial { port, baud } => f.pad(&format!("serial:{port}@{baud}")),
            Self::Tcp(address) => f.pad(&format!("tcp:{address}")),
        }
    }
}

impl FromStr for BoardSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!("board `{text}`: expected host, qemu:NAME, serial:PORT[@BAUD] or tcp:HOST:PORT")
        };
        match text.split_once(':') {
            None if text == "host" => Ok(Self::Host),
            Some(("qemu", name)) if !name.is_empty() => Ok(Self::Qemu(name.to_owned())),
            Some(("serial", rest)) if !rest.is_empty() => {
                let (port, baud) = match rest.rsplit_once('@') {
                    None => (rest, BAUD),
                    Some((port, baud)) => {
                        let baud: NonZeroU32 = baud.parse().map_err(|_| expected())?;
                        (port, baud.get())
                    }
                };
                Ok(Self::Serial {
                    port: port.to_owned(),
                    baud,
                })
            }
            Some(("tcp", address)) if address.contains(':') => Ok(Self::Tcp(address.to_owned())),
            _ => Err(expected()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for text in [
            "host",
            "qemu:m4f",
            "serial:/dev/ttyACM0@9600",
            "tcp:10.0.0.2:4000",
        ] {
            assert_eq!(text.parse::<BoardSpec>().unwrap().to_string(), text);
        }
        let port = "serial:COM3".parse::<BoardSpec>().unwrap();
        assert_eq!(port.to_string(), "serial:COM3@115200");
        for text in [
            "",
            "hosts",
            "qemu:",
            "serial:",
            "tcp:9",
            "serial:/dev/x@fast",
            "serial:/dev/x@0",
            "serial:/dev/x@-9600",
        ] {
            let error = text.parse::<BoardSpec>().unwrap_err();
            assert!(
                error.starts_with(&format!("board `{text}`: expected host")),
                "{error}"
            );
        }
    }
}
