//! Common knowledge: what all agents of a group know, know that all know, and so on.
//!
//! In a one-shot game it is the finest thing that every member could tell from its observation
//! alone: the meet of their partitions (Aumann, *Agreeing to Disagree*, Annals of Statistics 1976).
//! Two joint observations are in one cell of it where a chain of them leads from one to the other,
//! each step of which some member cannot see.

use super::{Environment, Game};

/// The groups whose common knowledge matters to pairs of `agents` agents: every pair, (0, 1),
/// (0, 2), … (1, 2), …, then the whole team, if it is more than a pair.
pub fn groups(agents: usize) -> Vec<Vec<usize>> {
    let pairs = (0..agents).flat_map(|a| (a + 1..agents).map(move |b| vec![a, b]));
    let mut groups: Vec<Vec<usize>> = pairs.collect();
    if agents > 2 {
        groups.push((0..agents).collect());
    }
    groups
}

/// Writes the common knowledge of every one of `groups`, one after another,
/// `[groups · TeamSpec::common]`.
pub fn write(environment: &dyn Environment, groups: &[Vec<usize>], features: &mut [f32]) {
    let width = environment.spec().common;
    for (index, group) in groups.iter().enumerate() {
        let own = &mut features[index * width..][..width];
        environment.common_knowledge(group, own);
    }
}

/// Length of the vector that tells a group of a game's agents what is common knowledge: no pair can
/// tell more cells apart than its less observant member; 0 where none can tell two.
pub(super) fn width(game: &Game) -> usize {
    let sizes = game.observations().sizes();
    let mut sorted = sizes.to_vec();
    sorted.sort_unstable();
    // The two most observant agents are the pair with the most cells.
    match sorted[..] {
        [.., second, _] if second > 1 => second,
        _ => 0,
    }
}

/// The cell of every joint observation for `group`, numbered by its lowest possible joint
/// observation, `[joint observations]`. Those that never occur are in cell 0.
pub(super) fn cells(game: &Game, group: &[usize]) -> Vec<usize> {
    let space = game.observations();
    let possible: Vec<usize> = (0..space.count())
        .filter(|&o| game.probability()[o] > 0.0)
        .collect();
    let mut leader: Vec<usize> = (0..space.count()).collect();
    fn find(leader: &mut [usize], mut at: usize) -> usize {
        while leader[at] != at {
            leader[at] = leader[leader[at]];
            at = leader[at];
        }
        at
    }
    for &agent in group {
        let mut first = vec![None; space.sizes()[agent]];
        for &o in &possible {
            let same = *first[space.part(o, agent)].get_or_insert(o);
            let (one, other) = (find(&mut leader, same), find(&mut leader, o));
            // The lower leads, so that a cell is known by its lowest joint observation.
            leader[one.max(other)] = one.min(other);
        }
    }
    let mut cells = vec![0; space.count()];
    let mut count = 0;
    for &o in &possible {
        let lowest = find(&mut leader, o);
        if lowest == o {
            cells[o] = count;
            count += 1;
        } else {
            cells[o] = cells[lowest];
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Task;

    #[test]
    fn pairs_come_in_order_and_then_the_team() {
        assert_eq!(groups(2), [vec![0, 1]]);
        assert_eq!(
            groups(3),
            [vec![0, 1], vec![0, 2], vec![1, 2], vec![0, 1, 2]]
        );
        assert_eq!(groups(4).len(), 7);
    }

    /// Independent bits: nothing is common. Equal observations: everything is. In between: agents 0
    /// and 1 see (c, x) and (c, y), and c alone is common.
    #[test]
    fn common_is_what_every_member_can_tell() {
        let game = |observations: &[usize], probability: &[f64]| {
            let table = vec![0.0; probability.len()];
            Game::new("game", &[1; 2], observations, probability.to_vec(), table).unwrap()
        };
        assert_eq!(cells(&game(&[2, 2], &[0.25; 4]), &[0, 1]), [0; 4]);
        let diagonal = [0.5, 0.0, 0.0, 0.0, 0.25, 0.0, 0.0, 0.0, 0.25];
        let equal = game(&[3, 3], &diagonal);
        let found = cells(&equal, &[0, 1]);
        assert_eq!([found[0], found[4], found[8]], [0, 1, 2]);
        assert_eq!(width(&equal), 3);
        let both = Task::find("common-private").unwrap();
        let both = both.game().unwrap();
        let found = cells(both, &[0, 1]);
        for o in (0..16).filter(|&o| both.probability()[o] > 0.0) {
            // o_0 = 2 c + x.
            assert_eq!(found[o], both.observations().part(o, 0) / 2);
        }
        // Agent 0 sees what is worth knowing and agent 1 nothing: they have nothing in common.
        assert_eq!(width(&game(&[4, 1], &[0.25; 4])), 0);
    }

    /// A chain: 0 cannot tell o = 0 from 1, nor 1 the second from the third, so all are one cell,
    /// though nobody confuses the first with the third.
    #[test]
    fn cells_are_joined_by_chains() {
        // Agents see (0, 0), (0, 1), (1, 1), or (2, 2).
        let mut probability = vec![0.0; 9];
        for o in [0, 1, 4, 8] {
            probability[o] = 0.25;
        }
        let game = Game::new("chain", &[1; 2], &[3; 2], probability, vec![0.0; 9]).unwrap();
        let found = cells(&game, &[0, 1]);
        assert_eq!([0, 1, 4, 8].map(|o| found[o]), [0, 0, 0, 1]);
    }
}
