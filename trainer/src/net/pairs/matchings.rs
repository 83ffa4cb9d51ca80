//! The ways to part a team into pairs.

use candle_core::{Device, Result, Tensor};

/// Pairs of a team, and the ways to part it into them.
pub struct Matchings {
    /// Every pair of agents, ascending.
    pub pairs: Vec<[usize; 2]>,
    /// Every matching: which pairs, and who is left over.
    pub all: Vec<(Vec<usize>, Option<usize>)>,
}

impl Matchings {
    /// Those of `agents` agents, two at least: one of a pair, (N − 1)!! of an even team, N!! of an
    /// odd one.
    pub fn new(agents: usize) -> Self {
        let pairs: Vec<[usize; 2]> = (0..agents)
            .flat_map(|a| (a + 1..agents).map(move |b| [a, b]))
            .collect();
        let mut all = Vec::new();
        match agents % 2 {
            0 => part(
                &pairs,
                &(0..agents).collect::<Vec<_>>(),
                &[],
                None,
                &mut all,
            ),
            _ => {
                for alone in 0..agents {
                    let rest: Vec<usize> = (0..agents).filter(|&agent| agent != alone).collect();
                    part(&pairs, &rest, &[], Some(alone), &mut all);
                }
            }
        }
        Self { pairs, all }
    }

    /// `[P, M]`: 1 where the matching has the pair; `[N, M]`: 1 where it leaves the agent over.
    pub(super) fn tables(&self, agents: usize, device: &Device) -> Result<[Tensor; 2]> {
        let count = self.all.len();
        let mut of_pairs = vec![0.0_f32; self.pairs.len() * count];
        let mut alone = vec![0.0_f32; agents * count];
        for (matching, (pairs, left)) in self.all.iter().enumerate() {
            for &pair in pairs {
                of_pairs[pair * count + matching] = 1.0;
            }
            if let Some(agent) = left {
                alone[agent * count + matching] = 1.0;
            }
        }
        Ok([
            Tensor::from_vec(of_pairs, (self.pairs.len(), count), device)?,
            Tensor::from_vec(alone, (agents, count), device)?,
        ])
    }
}

/// Every way to part `rest` into pairs, added to `all` with the pairs `chosen` before it.
fn part(
    pairs: &[[usize; 2]],
    rest: &[usize],
    chosen: &[usize],
    alone: Option<usize>,
    all: &mut Vec<(Vec<usize>, Option<usize>)>,
) {
    let Some((&first, others)) = rest.split_first() else {
        all.push((chosen.to_vec(), alone));
        return;
    };
    for &partner in others {
        let pair = pairs.iter().position(|&pair| pair == [first, partner]);
        let chosen = [chosen, &[pair.expect("every pair is listed")]].concat();
        let left: Vec<usize> = others.iter().copied().filter(|&a| a != partner).collect();
        part(pairs, &left, &chosen, alone, all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn teams_are_parted_in_every_way_once() {
        let counts: Vec<usize> = (2..=7).map(|n| Matchings::new(n).all.len()).collect();
        assert_eq!(counts, [1, 3, 3, 15, 15, 105]);
        let three = Matchings::new(3);
        assert_eq!(three.pairs, [[0, 1], [0, 2], [1, 2]]);
        assert_eq!(three.all[0], (vec![2], Some(0)));
        for (pairs, left) in Matchings::new(5).all {
            let agents = pairs.iter().flat_map(|&p| Matchings::new(5).pairs[p]);
            let mut agents: Vec<usize> = agents.chain(left).collect();
            agents.sort_unstable();
            assert_eq!(agents, [0, 1, 2, 3, 4]);
        }
    }
}
