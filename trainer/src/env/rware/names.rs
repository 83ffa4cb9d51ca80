//! Tasks of the warehouse by name.

use super::Warehouse;
use super::layout::Layout;
use crate::env::family::{Family, Simulation, whole};

/// The multi-robot warehouse.
pub const FAMILY: Family = Family {
    pattern: "rware-<tiny|small|medium|large>-<N>ag[-easy|-hard]",
    description: "multi-robot warehouse: N robots bring requested shelves to the goals",
    members: &["rware-tiny-2ag", "rware-tiny-4ag", "rware-small-4ag"],
    parse,
};

/// How large a warehouse is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// 10 × 11 cells, 32 shelves.
    Tiny,
    /// 10 × 20 cells, 80 shelves.
    Small,
    /// 16 × 20 cells, 144 shelves.
    Medium,
    /// 16 × 29 cells, 224 shelves.
    Large,
}

impl Size {
    /// Every size by name.
    const NAMES: [(&str, Self); 4] = [
        ("tiny", Self::Tiny),
        ("small", Self::Small),
        ("medium", Self::Medium),
        ("large", Self::Large),
    ];

    /// Rows and columns of blocks of shelves.
    pub(super) fn blocks(self) -> (usize, usize) {
        match self {
            Self::Tiny => (1, 3),
            Self::Small => (2, 3),
            Self::Medium => (2, 5),
            Self::Large => (3, 5),
        }
    }
}

/// What tells one warehouse from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// The floor.
    pub size: Size,
    /// N: 1 to 19.
    pub robots: usize,
    /// Shelves that are wanted at any time: N, twice that (easy), or half of it, rounded down
    /// (hard).
    pub requests: usize,
}

impl Parameters {
    /// The parameters that `name` stands for.
    ///
    /// # Errors
    /// What was found and expected, in one line.
    pub fn parse(name: &str) -> Result<Self, String> {
        let shape = || {
            "expected rware-<tiny|small|medium|large>-<N>ag[-easy|-hard], as in rware-tiny-4ag"
                .to_owned()
        };
        let rest = name.strip_prefix("rware-").ok_or_else(shape)?;
        let mut parts = rest.split('-');
        let (size, robots, difficulty) = (parts.next(), parts.next(), parts.next());
        let (Some(size), Some(robots), None) = (size, robots, parts.next()) else {
            return Err(shape());
        };

        let known = Size::NAMES.iter().find(|(name, _)| *name == size);
        let &(_, size) = known.ok_or_else(|| {
            format!("size: found `{size}`, expected one of tiny, small, medium, large")
        })?;
        let number = robots.strip_suffix("ag").ok_or_else(shape)?;
        let robots = whole(number)
            .filter(|robots| (1..=19).contains(robots))
            .ok_or_else(|| format!("number of robots N: found `{number}`, expected 1 to 19"))?
            as usize;
        let requests = match difficulty {
            None => robots,
            Some("easy") => 2 * robots,
            Some("hard") => robots / 2,
            Some(other) => {
                return Err(format!(
                    "difficulty: found `{other}`, expected easy or hard"
                ));
            }
        };
        let parameters = Self {
            size,
            robots,
            requests,
        };
        let shelves = Layout::new(&parameters).places.len();
        // Each shelf that is delivered makes room for the request of another.
        if !(1..shelves).contains(&requests) {
            return Err(format!(
                "found {requests} requests at a time, expected 1 to {}: there are {shelves} shelves",
                shelves - 1
            ));
        }
        Ok(parameters)
    }
}

fn parse(name: &str) -> Option<Result<Simulation, String>> {
    if name != "rware" && !name.starts_with("rware-") {
        return None;
    }
    Some(Parameters::parse(name).map(|parameters| {
        let Parameters {
            robots, requests, ..
        } = parameters;
        let description = format!("{robots} robots deliver shelves, {requests} wanted at a time");
        Simulation::new(name, description, move || Warehouse::new(parameters))
    }))
}
