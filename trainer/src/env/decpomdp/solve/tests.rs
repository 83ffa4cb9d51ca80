use super::*;
use crate::env::decpomdp::problems::{BROADCAST, DEC_TIGER, GRID_SMALL, Problem, RECYCLING};

#[test]
#[ignore]
fn probe() {
    for (p, hs) in [(&DEC_TIGER, 1..=7), (&RECYCLING, 1..=10), (&BROADCAST, 1..=10), (&GRID_SMALL, 1..=5)] {
        for h in hs {
            let t = std::time::Instant::now();
            let problem = p.with_horizon(h);
            match solve(&problem, DEFAULT_BUDGET) {
                Ok(s) => println!("{} {:.6} bound {:.6} nodes {} eval {:.6} opt {:?} {:?}", problem.name, s.value, s.bound, s.nodes, s.policy.value(&problem.model), p.optimum(h), t.elapsed()),
                Err(e) => println!("{e} {:?}", t.elapsed()),
            }
        }
    }
}
