//! Where tensors live: never anywhere but where the user said.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;
use serde::{Deserialize, Serialize};

/// The device a run asks for: `cpu`, `cuda` (the first GPU) or `cuda:N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    /// The processor.
    Cpu,
    /// NVIDIA GPU number N.
    Cuda(usize),
}

/// Why a device cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// Not the name of a device.
    #[error("device: found `{found}`, expected `cpu`, `cuda` or `cuda:N`")]
    Name {
        /// The name given.
        found: String,
    },
    /// This build has no CUDA in it.
    #[error(
        "device: found `{wanted}`, but this `consort` was built without CUDA; expected `cpu`, or a \
         build with `--features cuda`"
    )]
    NotBuilt {
        /// The device asked for.
        wanted: DeviceChoice,
    },
    /// CUDA is built in, the GPU is not there.
    #[error("device: `{wanted}` does not open ({reason}); expected a GPU that does, or `cpu`")]
    Absent {
        /// The device asked for.
        wanted: DeviceChoice,
        /// What the driver said.
        reason: String,
    },
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    ///
    /// When it is a GPU that this build or this machine lacks: there is no falling back.
    pub fn open(self) -> Result<Device, DeviceError> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(_) if !cfg!(feature = "cuda") => Err(DeviceError::NotBuilt { wanted: self }),
            Self::Cuda(index) => Device::new_cuda(index).map_err(|error| DeviceError::Absent {
                wanted: self,
                reason: first_line(&error.to_string()),
            }),
        }
    }
}

/// Drivers append backtraces to what they have to say.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(0) => f.write_str("cuda"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        let gpu = || name.strip_prefix("cuda:")?.parse().ok();
        match name {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => gpu().map(Self::Cuda).ok_or_else(|| DeviceError::Name {
                found: name.to_owned(),
            }),
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = DeviceError;

    fn try_from(name: String) -> Result<Self, DeviceError> {
        name.parse()
    }
}

impl From<DeviceChoice> for String {
    fn from(device: DeviceChoice) -> Self {
        device.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_others_are_refused() {
        for (name, shown) in [
            ("cpu", "cpu"),
            ("cuda", "cuda"),
            ("cuda:0", "cuda"),
            ("cuda:3", "cuda:3"),
        ] {
            let device: DeviceChoice = name.parse().unwrap();
            assert_eq!(device.to_string(), shown);
        }
        for name in ["", "CPU", "cuda:", "cuda:-1", "gpu", "cuda:x"] {
            let message = name.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(
                message.contains("expected `cpu`, `cuda` or `cuda:N`"),
                "{message}"
            );
        }
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_build_without_cuda_says_so() {
        let message = DeviceChoice::Cuda(1).open().unwrap_err().to_string();
        assert!(
            message.contains("`cuda:1`") && message.contains("--features cuda"),
            "{message}"
        );
    }
}
