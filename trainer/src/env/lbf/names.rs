//! Tasks of foraging by name.

use super::LevelBasedForaging;
use crate::env::family::{Family, Simulation, whole};

/// Level-based foraging.
pub const FAMILY: Family = Family {
    pattern: "lbf-[<S>s-]<W>x<H>-<N>p-<M>f[-coop][-masked]",
    description: "level-based foraging: N players load M foods, some only together",
    members: &[
        "lbf-8x8-2p-2f-coop",
        "lbf-2s-8x8-2p-2f-coop",
        "lbf-15x15-3p-5f",
        "lbf-15x15-4p-3f",
        "lbf-15x15-3p-5f-masked",
    ],
    parse,
};

/// What tells one task of foraging from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Height of the field, 5 to 32.
    pub rows: usize,
    /// Width of the field, 5 to 32.
    pub columns: usize,
    /// N: 2 to 9.
    pub players: usize,
    /// M: 1 to 16.
    pub foods: usize,
    /// How many cells away a player sees, in each direction; the longer side of the field where it
    /// sees all.
    pub sight: u8,
    /// Whether every food takes all players (of more than three, as much as the three weakest
    /// have).
    pub cooperative: bool,
    /// Whether players are kept from what can do nothing: moves off the field or onto food, and
    /// loading where there is none beside them.
    pub masked: bool,
}

impl Parameters {
    /// The parameters that `name` stands for.
    ///
    /// # Errors
    /// What was found and expected, in one line.
    pub fn parse(name: &str) -> Result<Self, String> {
        let shape = || {
            "expected lbf-[<S>s-]<W>x<H>-<N>p-<M>f[-coop][-masked], as in lbf-2s-8x8-2p-2f-coop"
                .to_owned()
        };
        let rest = name.strip_prefix("lbf-").ok_or_else(shape)?;
        let (rest, masked) = match rest.strip_suffix("-masked") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (rest, cooperative) = match rest.strip_suffix("-coop") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let parts: Vec<&str> = rest.split('-').collect();
        let (sight, [field, players, foods]) = match parts[..] {
            [field, players, foods] => (None, [field, players, foods]),
            [sight, field, players, foods] => (Some(sight), [field, players, foods]),
            _ => return Err(shape()),
        };
        let (columns, rows) = field.split_once('x').ok_or_else(shape)?;
        let counted = |text: &str, unit: char, what: &str, least: usize, most: usize| {
            let number = text.strip_suffix(unit).ok_or_else(shape)?;
            within(number, what, least, most)
        };

        let columns = within(columns, "width", 5, 32)?;
        let rows = within(rows, "height", 5, 32)?;
        let side = rows.max(columns);
        // From S = side − 1 on a player sees all: the task without S, which has a name.
        let sight = match sight {
            Some(sight) => counted(sight, 's', "sight S", 1, side - 2)?,
            None => side,
        };
        Ok(Self {
            rows,
            columns,
            players: counted(players, 'p', "number of players N", 2, 9)?,
            foods: counted(foods, 'f', "number of foods M", 1, 16)?,
            sight: sight as u8,
            cooperative,
            masked,
        })
    }
}

fn within(number: &str, what: &str, least: usize, most: usize) -> Result<usize, String> {
    whole(number)
        .and_then(|number| usize::try_from(number).ok())
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("{what}: found `{number}`, expected {least} to {most}"))
}

fn parse(name: &str) -> Option<Result<Simulation, String>> {
    if name != "lbf" && !name.starts_with("lbf-") {
        return None;
    }
    Some(Parameters::parse(name).map(|parameters| {
        let (players, foods) = (parameters.players, parameters.foods);
        let together = if parameters.cooperative {
            ", each together"
        } else {
            ""
        };
        let sight = match usize::from(parameters.sight) < parameters.rows.max(parameters.columns) {
            true => format!(", seeing {} cells far", parameters.sight),
            false => String::new(),
        };
        let masked = match parameters.masked {
            true => ", kept from what can do nothing",
            false => "",
        };
        let description =
            format!("{players} players forage {foods} foods{together}{sight}{masked}");
        Simulation::new(name, description, move || {
            LevelBasedForaging::new(parameters)
        })
    }))
}
