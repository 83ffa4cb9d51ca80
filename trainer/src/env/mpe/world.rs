//! Where everything is, and how it moves: the physics that the three scenarios share.

use serde::{Deserialize, Serialize};

/// Seconds a step.
const STEP: f64 = 0.1;
/// The same in µs.
pub const PERIOD_US: u32 = 100_000;
/// What is left of a velocity after a step: 1 − the damping of 0.25.
const KEPT: f64 = 0.75;
/// Newtons a metre of penetration.
const CONTACT_FORCE: f64 = 100.0;
/// Metres over which a contact softens.
const CONTACT_MARGIN: f64 = 1e-3;

/// A point or a vector of the plane.
pub type Vector = [f64; 2];

/// Everything that changes in the course of an episode.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct World {
    /// Where the agents are, `[N]`; an episode begins in [−1, 1]².
    pub positions: Vec<Vector>,
    /// How fast they are, `[N]`, a second.
    pub velocities: Vec<Vector>,
    /// Where the landmarks are, `[landmarks]`; they stay there.
    pub landmarks: Vec<Vector>,
    /// What each agent said last, `[N × words]`.
    pub messages: Vec<f32>,
    /// The landmark that each agent who has one knows to be the goal of another, `[goals]`.
    pub goals: Vec<u32>,
    /// Steps since the episode began.
    pub steps: u32,
}

impl World {
    /// Moves every agent by a step under its own `forces` (`[N]`, spent as scratch space) and, where
    /// they have a `diameter`, those of contact. Masses are 1.
    ///
    /// The order is that of `mpe2` 1.1.1: positions move by the velocities *before* the step, so
    /// a force shows in a position one step later. (The environments of 2017 moved them last.)
    pub(super) fn advance(&mut self, forces: &mut [Vector], diameter: Option<f64>) {
        if let Some(diameter) = diameter {
            self.add_contacts(forces, diameter);
        }
        let bodies = self.positions.iter_mut().zip(&mut self.velocities);
        for ((position, velocity), force) in bodies.zip(forces) {
            for axis in 0..2 {
                position[axis] += velocity[axis] * STEP;
                velocity[axis] = velocity[axis] * KEPT + force[axis] * STEP;
            }
        }
    }

    /// Adds the forces with which agents push each other apart: 100 × the penetration, softened to
    /// the margin × ln(1 + e^(penetration / margin)).
    fn add_contacts(&self, forces: &mut [Vector], diameter: f64) {
        for (one, &at) in self.positions.iter().enumerate() {
            for (other, &beside) in self.positions.iter().enumerate().skip(one + 1) {
                let apart = minus(at, beside);
                let distance = length(apart);
                let depth = softplus(-(distance - diameter) / CONTACT_MARGIN) * CONTACT_MARGIN;
                // Two agents in the very same place have no direction to be pushed in.
                if depth == 0.0 || distance == 0.0 {
                    continue;
                }
                for axis in 0..2 {
                    let force = CONTACT_FORCE * apart[axis] / distance * depth;
                    forces[one][axis] += force;
                    forces[other][axis] -= force;
                }
            }
        }
    }
}

/// a − b.
pub(super) fn minus(a: Vector, b: Vector) -> Vector {
    [a[0] - b[0], a[1] - b[1]]
}

/// |a|².
pub(super) fn square(a: Vector) -> f64 {
    a[0] * a[0] + a[1] * a[1]
}

/// |a|.
pub(super) fn length(a: Vector) -> f64 {
    square(a).sqrt()
}

/// ln(1 + eˣ) without overflow; exactly 0 where eˣ is.
fn softplus(x: f64) -> f64 {
    // Below this eˣ is 0 in f64: most pairs are that far apart, and need no exponential.
    if x < -746.0 {
        0.0
    } else {
        x.max(0.0) + (-x.abs()).exp().ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(positions: &[Vector]) -> World {
        World {
            positions: positions.to_vec(),
            velocities: vec![[0.0; 2]; positions.len()],
            ..World::default()
        }
    }

    /// A force of 5: no way in the first step and 0.5 m/s after it; then 0.05 m and 0.75 · 0.5 +
    /// 0.5 = 0.875 m/s; without force 0.0875 m more and 0.65625 m/s.
    #[test]
    fn a_force_shows_in_the_position_a_step_later() {
        let mut world = at(&[[0.25, -1.0]]);
        for (force, position, velocity) in
            [(5.0, 0.25, 0.5), (5.0, 0.3, 0.875), (0.0, 0.3875, 0.65625)]
        {
            world.advance(&mut [[force, 0.0]], None);
            assert!((world.positions[0][0] - position).abs() < 1e-12);
            assert!((world.velocities[0][0] - velocity).abs() < 1e-12);
            assert_eq!((world.positions[0][1], world.velocities[0][1]), (-1.0, 0.0));
        }
    }

    /// Centres 0.2 m apart and a diameter of 0.3 m: 0.1 m deep, a hundred margins, so the force is
    /// 100 · 0.1 = 10 N to e^−100, and the velocity 1 m/s after 0.1 s. At exactly the diameter it is
    /// 100 · 0.001 · ln 2 = 0.0693147 N; far apart it is nothing.
    #[test]
    fn contact_pushes_apart_in_proportion_to_its_depth() {
        for (distance, speed) in [
            (0.2, 1.0),
            (0.3, 0.1 * 0.1 * std::f64::consts::LN_2),
            (1.1, 0.0),
        ] {
            let mut world = at(&[[0.0, 0.0], [0.0, distance]]);
            world.advance(&mut [[0.0; 2]; 2], Some(0.3));
            let expected = [[0.0, -speed], [0.0, speed]];
            for (velocity, expected) in world.velocities.iter().zip(expected) {
                assert!((velocity[1] - expected[1]).abs() < 1e-12, "{velocity:?}");
                assert_eq!(velocity[0], 0.0);
            }
        }
    }

    #[test]
    fn agents_in_one_place_stay_finite() {
        let mut world = at(&[[0.5, 0.5], [0.5, 0.5]]);
        world.advance(&mut [[0.0; 2]; 2], Some(0.3));
        assert_eq!(world.velocities, [[0.0; 2]; 2]);
    }
}
