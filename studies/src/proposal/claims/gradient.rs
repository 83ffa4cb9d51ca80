//! Policy gradients on the proposal's game, and MADDPG's replay.

use anyhow::{Context, Result};
use consort_trainer::config::Method;
use consort_trainer::report::statistics::Count;

use super::super::cells::{Cells, Run};
use super::super::design::{self, SPREAD, Sizes};
use super::super::taught::Pupil;
use super::{Check, Claim, mean_of, percent, rows, share};
use crate::one_shot::basin::{Flow, TURN};

/// Where a team begins: how many of its two agents play safe more often than three times in four.
fn wary(run: &Run) -> Result<usize> {
    let start = run.start.context("a basin's runs know their starts")?;
    Ok(start.iter().filter(|&&d| d > TURN).count())
}

/// Whether it ends at the optimum, 10; at 0 or −5 otherwise.
fn dares(run: &Run) -> bool {
    run.value > 9.0
}

/// The ends of the runs that begin with so many wary agents.
fn ends(runs: &[Run], agents: usize) -> Result<Count> {
    let mut found = Vec::new();
    for run in runs {
        if wary(run)? == agents {
            found.push(dares(run));
        }
    }
    Ok(Count::of(found))
}

fn not(count: Count) -> Count {
    Count {
        successes: count.trials - count.successes,
        ..count
    }
}

fn predicted(runs: &[Run], flow: Flow) -> Result<Count> {
    let agrees = |run: &Run| -> Result<bool> {
        let start = run.start.context("a basin's runs know their starts")?;
        Ok(flow.succeeds(start) == dares(run))
    };
    let agrees: Vec<bool> = runs.iter().map(agrees).collect::<Result<_>>()?;
    Ok(Count::of(agrees))
}

/// Both quadrants that theory is sure of.
fn quadrants(runs: &[Run], name: &str) -> Result<[Check; 2]> {
    Ok([
        Check::at_least(
            format!(
                "{name}: of teams whose agents both begin with q > ¾, those that end short of 10"
            ),
            not(ends(runs, 2)?),
            0.95,
        ),
        Check::at_least(
            format!("{name}: of teams whose agents both begin with q < ¾, those that end at 10"),
            ends(runs, 0)?,
            0.95,
        ),
    ])
}

pub(super) fn basin(cells: &Cells, sizes: Sizes) -> Result<Claim> {
    let basins = design::basins(sizes);
    let runs = cells.runs(&basins.factored)?;
    let joint = cells.runs(&basins.joint)?;
    let reached = |run: &Run| run.joint.is_some_and(|value| value > 9.9);
    let mut checks = Vec::from(quadrants(&runs, "policy gradient")?);
    checks.push(Check::at_least(
        "a joint policy from the same seeds earns 10",
        Count::of(joint.iter().map(reached)),
        0.99,
    ));
    let begun = ["neither", "one", "both"];
    let lines = begun.iter().enumerate().map(|(agents, begun)| {
        let count = ends(&runs, agents)?;
        Ok(vec![
            (*begun).to_owned(),
            count.trials.to_string(),
            share(count),
        ])
    });
    let lines: Vec<Vec<String>> = lines.collect::<Result<_>>()?;
    let flows = Flow::ALL.map(|flow| -> Result<String> {
        let name = match flow {
            Flow::Adam => "Adam's flow",
            Flow::Gradient => "the gradient's flow",
        };
        Ok(format!(
            "{name} foretells {}",
            share(predicted(&runs, flow)?)
        ))
    });
    let [adam, gradient] = flows;
    Ok(Claim {
        title: "Vanilla policy gradient on a product of policies increases safety while the other plays safe with q > ¾, and ends at 0 instead of 10; a joint policy never does",
        why: "d/dp J = −15 + 20 q on payoffs [[0, −5], [−5, 10]]",
        test: format!(
            "`factored` without entropy bonus on `assurance` in batches of 256, and the joint policy of `joint`, {} seeds and {} \
             environment steps each; first logits of deviation {SPREAD}, so that many teams begin on either side. Where one \
             agent is wary and one is not, theory says who reaches ¾ first ([why](one-shot.md)).",
            basins.factored.seeds, basins.factored.steps,
        ),
        checks,
        settings: Vec::new(),
        figures: rows(
            &["agents that begin with q > ¾", "teams", "end at 10"],
            lines,
        ) + &format!("Of all teams {}; {}.\n\n", adam?, gradient?),
    })
}

pub(super) fn counterfactual(cells: &Cells, sizes: Sizes) -> Result<Claim> {
    let basins = design::basins(sizes);
    let plain = cells.runs(&basins.factored)?;
    let coma = cells.runs(&basins.coma)?;
    let count = |runs: &[Run]| Count::of(runs.iter().map(dares));
    let same_start = std::iter::zip(&plain, &coma).all(|(a, b)| a.start == b.start);
    let alike = Count::of(std::iter::zip(&plain, &coma).map(|(a, b)| dares(a) == dares(b)));
    let difference = count(&coma).difference(count(&plain));
    let mut checks = Vec::from(quadrants(&coma, "COMA")?);
    checks.push(Check {
        expected: "COMA's share of teams that end at 10 less plain policy gradient's: the 95 % interval holds 0".to_owned(),
        found: format!(
            "{:+.0} points ({:+.0} to {:+.0})",
            100.0 * (count(&coma).fraction() - count(&plain).fraction()),
            100.0 * difference.low,
            100.0 * difference.high
        ),
        held: difference.low <= 0.0 && difference.high >= 0.0,
        by_definition: false,
    });
    checks.push(Check::at_least(
        "teams that end as plain policy gradient ends from the same first policies",
        alike,
        0.95,
    ));
    let beginning = match same_start {
        true => "The same seeds begin with the same policies.",
        false => {
            "The same seeds begin with other policies than plain policy gradient's: compare shares, not runs."
        }
    };
    Ok(Claim {
        title: "COMA's baseline lowers variance and leaves the gradient as it is: it is stuck where plain policy gradient is",
        why: "E[R | a₋ᵢ] does not depend on aᵢ, and Σ πᵢ ∇ log πᵢ = 0",
        test: format!(
            "`coma` without entropy bonus in the place of `factored` in claim 1: same batches, step size, seeds and steps. {beginning}"
        ),
        checks,
        settings: Vec::new(),
        figures: rows(
            &["method", "end at 10"],
            [("factored", &plain), ("coma", &coma)]
                .map(|(name, runs)| vec![name.to_owned(), share(count(runs))]),
        ),
    })
}

/// Whether both agents of a taught team prefer to dare.
fn both_dare(pupil: &Pupil) -> bool {
    pupil.policy.iter().all(|policy| policy[1] > 0.5)
}

pub(super) fn replay(cells: &Cells, sizes: Sizes) -> Result<Claim> {
    let taught = |method| -> Result<Vec<(f64, Vec<Pupil>)>> {
        let lessons = design::replay(method, sizes);
        let of = lessons
            .iter()
            .map(|lesson| Ok((lesson.first, cells.pupils(lesson)?)));
        of.collect()
    };
    let (maddpg, iql) = (taught(Method::Maddpg)?, taught(Method::Iql)?);
    let dare = |pupils: &[Pupil]| Count::of(pupils.iter().map(both_dare));
    let pooled = |side: fn(f64) -> bool| {
        let chosen = maddpg.iter().filter(|(q, _)| side(*q));
        Count::of(chosen.flat_map(|(_, pupils)| pupils.iter().map(both_dare)))
    };
    // The critic's values of both safe and both daring, where the team stays.
    let knows = |pupil: &Pupil| {
        let values = pupil.team.as_ref().map(|team| &team[0]);
        values.is_some_and(|values| values[3] > values[0])
    };
    let wary = maddpg.iter().filter(|(q, _)| *q > 0.75);
    let stay = wary.flat_map(|(_, pupils)| pupils.iter().filter(|pupil| !both_dare(pupil)));
    let knowing = Count::of(stay.map(knows));
    let own = cells.runs(&design::basins(sizes).maddpg)?;
    let mut checks = vec![
        Check::at_least(
            "replays with q < ¾: agents learn to dare",
            pooled(|q| q < 0.75),
            0.95,
        ),
        Check::at_least(
            "replays with q > ¾: they learn to stay",
            not(pooled(|q| q > 0.75)),
            0.95,
        ),
        Check::at_least(
            "of the teams that stay, those whose critic values daring together above staying together",
            knowing,
            0.95,
        ),
    ];
    checks.extend(quadrants(&own, "by its own replay")?);
    let critic = |pupils: &[Pupil]| {
        let values = pupils.iter().filter_map(|pupil| pupil.team.as_ref());
        mean_of(&values.map(|team| team[0][3]).collect::<Vec<f64>>())
    };
    let lines = std::iter::zip(&maddpg, &iql).map(|((q, maddpg), (_, iql))| {
        vec![
            format!("{q}"),
            share(dare(maddpg)),
            critic(maddpg),
            share(dare(iql)),
        ]
    });
    Ok(Claim {
        title: "MADDPG's gradient is an expectation over the others' actions in its buffer: where they do not collaborate there, it does not encourage collaboration",
        why: "∇Q(x, a₁ … μᵢ(hᵢ) … a_N) is taken at the a of the replay",
        test: format!(
            "`maddpg` with even first policies is shown episodes of `assurance` in which every agent stays safe with probability q, {} \
             batches of 64, {} learners each; independent Q-learning (`iql`) beside it. Then `maddpg` by its own play, from the first \
             policies of claim 1. The turning point of theory is ¾.",
            design::replay(Method::Maddpg, sizes)[0].batches,
            design::replay(Method::Maddpg, sizes)[0].seeds,
        ),
        checks,
        settings: Vec::new(),
        figures: rows(
            &[
                "q in the replay",
                "MADDPG: both dare",
                "its critic's value of daring together (10)",
                "IQL: both dare",
            ],
            lines,
        ) + &format!(
            "A share of {} or more counts as found; intervals are Wilson's.\n\n",
            percent(0.95)
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(start: [f64; 2], value: f64) -> Run {
        Run {
            seed: 0,
            env_steps: 0,
            beta: 1.0,
            joint: None,
            product: None,
            value,
            drawn: None,
            start: Some(start),
        }
    }

    /// ln 3 = 1.0986 is a probability of ¾ for action 0.
    #[test]
    fn runs_are_told_apart_by_how_many_agents_begin_wary() {
        let runs = [
            run([1.2, 1.2], 0.0),
            run([2.0, 1.1], 10.0),
            run([1.0, 1.0], 10.0),
            run([-3.0, 0.0], 10.0),
            run([3.0, 1.0], 0.0),
        ];
        let of = |agents| {
            let Count { successes, trials } = ends(&runs, agents).unwrap();
            (successes, trials)
        };
        assert_eq!((of(2), of(1), of(0)), ((1, 2), (0, 1), (2, 2)));
        let [wary, daring] = quadrants(&runs, "these").unwrap();
        assert!(!wary.held && daring.held);
        // By Adam's flow (2, 1.1) and (3, 1) end at 0, as their sums exceed 2 ln 3.
        let Count { successes, trials } = predicted(&runs, Flow::Adam).unwrap();
        assert_eq!((successes, trials), (4, 5));
        let unknown = Run {
            start: None,
            ..run([0.0; 2], 0.0)
        };
        assert!(ends(&[unknown], 0).is_err());
    }
}
