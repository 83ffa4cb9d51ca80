//! Whether a team shares a seed, and of how many symbols.

use consort_runtime::{Per, Seeding};
use serde::{Deserialize, Serialize};

/// The seed that a team shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SharedSeedConfig {
    /// Symbols that there are: 2 to 255, or 0 for no shared seed.
    pub symbols: u16,
    /// How often one is drawn.
    pub per: SymbolPer,
}

/// How often a symbol is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SymbolPer {
    /// For every step.
    #[default]
    Step,
    /// For a whole episode.
    Episode,
}

impl SymbolPer {
    /// Every one's word.
    pub const WORDS: [&str; 2] = ["step", "episode"];
}

impl From<Per> for SymbolPer {
    fn from(per: Per) -> Self {
        match per {
            Per::Step => Self::Step,
            Per::Episode => Self::Episode,
        }
    }
}

impl From<SymbolPer> for Per {
    fn from(per: SymbolPer) -> Self {
        match per {
            SymbolPer::Step => Self::Step,
            SymbolPer::Episode => Self::Episode,
        }
    }
}

impl SharedSeedConfig {
    /// What the images say of it; none where there is no shared seed.
    pub fn seeding(self) -> Option<Seeding> {
        let symbols = u8::try_from(self.symbols).ok()?;
        (symbols >= 2).then(|| Seeding {
            symbols,
            per: self.per.into(),
        })
    }
}
