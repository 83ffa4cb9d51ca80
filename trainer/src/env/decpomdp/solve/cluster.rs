//! Lossless clustering: histories that say the same are one type.
//!
//! Two histories of an agent are alike where P(s, c_{−i} | x) = P(s, c_{−i} | y) for every state
//! and all types of the others: some best policy treats them alike (Oliehoek, Whiteson & Spaan,
//! *Lossless Clustering of Histories in Decentralized POMDPs*, AAMAS 2009).

use crate::env::joint::JointSpace;

/// Conditional distributions nearer to each other than this, everywhere, are the same.
const SAME: f64 = 1e-10;

/// Merges the types of each agent that say the same, most probable types first. Gives the merged
/// types, their occupancy `[C, S]`, and for each agent the merged type of each type there was.
pub(super) fn cluster(
    mut types: JointSpace,
    mut occupancy: Vec<f64>,
    states: usize,
) -> (JointSpace, Vec<f64>, Vec<Vec<Option<usize>>>) {
    let agents = types.sizes().len();
    let mut merged: Vec<Vec<Option<usize>>> = (types.sizes().iter())
        .map(|&size| (0..size).map(Some).collect())
        .collect();
    // Merging one agent's types can make another's alike: until nobody's are.
    let mut unchanged = 0;
    let mut agent = 0;
    while unchanged < agents {
        let before = types.sizes()[agent];
        let map = alike(&types, &occupancy, states, agent);
        (types, occupancy) = project(&types, &occupancy, states, agent, &map);
        for own in &mut merged[agent] {
            *own = own.and_then(|own| map[own]);
        }
        unchanged = if types.sizes()[agent] == before {
            unchanged + 1
        } else {
            1
        };
        agent = (agent + 1) % agents;
    }
    (types, occupancy, merged)
}

/// For each type of `agent` the number of its cluster, most probable first; `None` for the
/// impossible.
fn alike(types: &JointSpace, occupancy: &[f64], states: usize, agent: usize) -> Vec<Option<usize>> {
    let size = types.sizes()[agent];
    // P(s, c_−i, c_i) with the agent's own type slowest.
    let mut views: Vec<Vec<f64>> = vec![Vec::new(); size];
    for (c, belief) in occupancy.chunks_exact(states).enumerate() {
        views[types.part(c, agent)].extend_from_slice(belief);
    }
    let totals: Vec<f64> = views.iter().map(|view| view.iter().sum()).collect();
    for (view, total) in views.iter_mut().zip(&totals) {
        view.iter_mut().for_each(|p| *p /= total);
    }
    let mut clusters: Vec<(f64, Vec<usize>)> = Vec::new();
    for own in (0..size).filter(|&own| totals[own] > 0.0) {
        let same = |first: usize| {
            let pairs = views[first].iter().zip(&views[own]);
            pairs.into_iter().all(|(a, b)| (a - b).abs() < SAME)
        };
        match clusters.iter_mut().find(|(_, members)| same(members[0])) {
            Some((total, members)) => {
                *total += totals[own];
                members.push(own);
            }
            None => clusters.push((totals[own], vec![own])),
        }
    }
    // In grains, so that rounding does not decide; the sort is stable.
    clusters.sort_by_key(|(total, _)| std::cmp::Reverse((total / SAME).round() as u64));
    let mut map = vec![None; size];
    for (number, (_, members)) in clusters.iter().enumerate() {
        members.iter().for_each(|&own| map[own] = Some(number));
    }
    map
}

/// Renumbers one agent's types, adding up those that become one.
fn project(
    types: &JointSpace,
    occupancy: &[f64],
    states: usize,
    agent: usize,
    map: &[Option<usize>],
) -> (JointSpace, Vec<f64>) {
    let mut sizes = types.sizes().to_vec();
    sizes[agent] = map.iter().flatten().max().map_or(1, |last| last + 1);
    let smaller = JointSpace::new(&sizes, types.count()).expect("no more types than before");
    let mut target = vec![0.0; smaller.count() * states];
    for (c, belief) in occupancy.chunks_exact(states).enumerate() {
        let Some(own) = map[types.part(c, agent)] else {
            continue;
        };
        let parts = types.split(c).enumerate();
        let c = smaller.join(parts.map(|(i, part)| if i == agent { own } else { part }));
        let target = &mut target[c * states..][..states];
        target.iter_mut().zip(belief).for_each(|(sum, p)| *sum += p);
    }
    (smaller, target)
}
