//! How the weights of the annealed loss move in time, one schedule a replica.
//!
//! The ramp x rises from 0 to 1 once the *gate* has opened; β = β₀ + (1 − β₀) x; λ is geometric in x; the
//! temperature τ first decays with the clock and then follows what is measured: the information gap, whether
//! little entropy is left, whether the joint policy leads; the marginals' fit fades with the ramp and, where both policies act from the start, can follow the joint policy's
//! measured lead, as can how soon the ramp begins and how long it takes.

use serde::{Deserialize, Serialize};

use crate::returns::Earned;

/// Times are fractions of the arm's updates. Losses, and so temperatures and λ, are in the units that
/// [`update.units`](crate::returns::Units) says: of advantages' deviation, in one-shot games of the return range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnnealSchedule {
    /// Earliest time the gate may open, but for a joint policy that is [behind](Self::lead_errors).
    pub warmup: f64,
    /// Latest time the gate opens, plateau or not.
    pub warmup_limit: f64,
    /// Length of the window over which the return is averaged to find its plateau.
    pub plateau_window: f64,
    /// The return is on a plateau when a window improves on the best before it by less, in units of the range
    /// of returns seen so far.
    pub plateau_gain: f64,
    /// Time the ramp takes from 0 to 1.
    pub ramp: f64,
    /// The same where the joint policy does not lead, in between in proportion: nobody waits for a teacher
    /// that knows nothing. Likewise the gate opens at the warm-up's end where it does not lead, plateau or
    /// not, and no later than `warmup_limit` where it leads in full. 0: neither regards the lead.
    pub unled_ramp: f64,
    /// β before the ramp: the product's share in acting from the start.
    pub beta_start: f64,
    /// The joint policy's lead from which on the marginals are fitted to it in full, in units of the
    /// advantage; below it in proportion, not at all where the product leads. 0: in full, whoever leads.
    pub full_lead: f64,
    /// How many standard errors are taken off the measured lead before it counts: chance is no teacher. With an
    /// `unled_ramp` the gate opens before the warm-up's end once the joint policy is behind by twice as many, and
    /// no earlier than `warmup_limit` while too few leads are known.
    pub lead_errors: f64,
    /// λ when the ramp starts.
    pub lambda_start: f64,
    /// λ when the ramp ends.
    pub lambda_end: f64,
    /// w_IG: weight of the information gap.
    pub information_gap: f64,
    /// w_TC: weight of the total correlation.
    pub total_correlation: f64,
    /// τ at the start, falling linearly to 0 over `warmup`.
    pub temperature_start: f64,
    /// Part of τ that lasts until the ramp's end (times 1 − x), or until `temperature_until`.
    pub temperature_floor: f64,
    /// τ gained for each nat of information gap.
    pub temperature_per_gap: f64,
    /// Share of the largest entropy that those who act can have, below which τ rises: a team that is sure of everything before its
    /// time has not looked around. It does not count where an action is a vector, whose entropy has no largest value, nor where
    /// some are forbidden, so that the largest is another in every state. 0: τ does not regard it.
    pub least_entropy: f64,
    /// τ gained for what is missing of that share, a whole of the largest entropy; 0: τ does not regard it.
    pub temperature_per_entropy: f64,
    /// Largest value of floor, gap and entropy part together.
    pub temperature_limit: f64,
    /// The least that floor, gap and entropy part are together from when the joint policy has led by twice `lead_errors`, so that a
    /// team that has something to agree upon does not agree upon the first that pays. It may be above `temperature_limit`, and takes a
    /// `full_lead` and `lead_errors`, without which no lead is certain. 0: they do not regard the lead.
    pub temperature_led: f64,
    /// When floor, gap and entropy part have fallen to nothing, linearly from the warm-up's end; 0: as the
    /// ramp ends.
    pub temperature_until: f64,
    /// Decay of the moving averages of the information gap, of the lead and of the entropy, an update.
    pub gap_decay: f64,
}

impl Default for AnnealSchedule {
    fn default() -> Self {
        Self {
            warmup: 0.2,
            warmup_limit: 0.3,
            plateau_window: 0.02,
            plateau_gain: 0.01,
            ramp: 0.6,
            unled_ramp: 0.0,
            beta_start: 0.0,
            full_lead: 0.0,
            lead_errors: 0.0,
            lambda_start: 0.01,
            lambda_end: 10.0,
            information_gap: 1.0,
            total_correlation: 0.01,
            temperature_start: 0.15,
            temperature_floor: 0.02,
            temperature_per_gap: 0.1,
            least_entropy: 0.0,
            temperature_per_entropy: 0.0,
            temperature_limit: 0.15,
            temperature_led: 0.0,
            temperature_until: 0.0,
            gap_decay: 0.95,
        }
    }
}

impl AnnealSchedule {
    /// The ramp is still 0 at this time, whatever is measured, where the product does not act before it.
    pub fn earliest_ramp(&self) -> f64 {
        self.warmup.min(self.warmup_limit)
    }
}

/// Weights of the loss terms at one update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Coefficients {
    /// Share of the product in the mixture.
    pub beta: f64,
    /// Weight of the divergence in the joint policy's loss.
    pub lambda: f64,
    /// Weight of the marginals' fit to the joint.
    pub fit: f64,
    /// Entropy temperature.
    pub tau: f64,
}

impl Coefficients {
    /// Whether the joint policy still acts: one that does not is left as it is.
    pub fn joint_acts(&self) -> bool {
        self.beta < 1.0
    }
}

/// A point of the ramp.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Reached {
    x: f64,
    time: f64,
}

/// The schedule of one replica, moved by what that replica measures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Anneal {
    config: AnnealSchedule,
    /// Where the ramp goes on from; nothing before the gate opens.
    reached: Option<Reached>,
    window_sum: f64,
    window_count: u32,
    window_end: f64,
    /// The highest mean return of a window so far.
    best_window: f64,
    gap: f64,
    lead: Lead,
    /// The joint policy has led for certain.
    has_led: bool,
    /// Share of the largest entropy, a moving average.
    entropy: f64,
}

/// Leads, each weighed by w = (1 − decay) · decay^age.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Lead {
    /// Σ w, Σ w².
    weights: [f64; 2],
    /// Σ w lead, Σ w lead².
    sums: [f64; 2],
}

impl Lead {
    fn observe(&mut self, lead: f64, decay: f64) {
        let weight = 1.0 - decay;
        let add = |sum: f64, new: f64| decay * sum + weight * new;
        self.sums = [add(self.sums[0], lead), add(self.sums[1], lead * lead)];
        let [sum, squares] = self.weights;
        self.weights = [add(sum, 1.0), decay * decay * squares + weight * weight];
    }

    /// The average from the first lead on, nothing before; and `errors` of its standard errors, without end for
    /// few leads.
    fn average(&self, errors: f64) -> Option<[f64; 2]> {
        let [weight, squares] = self.weights;
        if weight == 0.0 {
            return None;
        }
        let mean = self.sums[0] / weight;
        // So many leads count. What their average is off by, in errors estimated from themselves (s²/(n − 1)), is
        // Student's t of n − 1 degrees of freedom, whose variance is (n − 1)/(n − 3).
        let count = weight * weight / squares;
        let margin = if errors == 0.0 {
            0.0
        } else if count <= 3.0 {
            f64::INFINITY
        } else {
            let variance = (self.sums[1] / weight - mean * mean).max(0.0);
            errors * (variance / (count - 3.0)).sqrt()
        };
        Some([mean, margin])
    }

    /// Whether as many leads count as the average remembers.
    fn is_settled(&self) -> bool {
        self.weights[0] > 1.0 - (-1.0_f64).exp()
    }
}

impl Anneal {
    /// A schedule at its start.
    pub fn new(config: &AnnealSchedule) -> Self {
        Self {
            reached: None,
            window_sum: 0.0,
            window_count: 0,
            window_end: config.plateau_window,
            best_window: f64::NEG_INFINITY,
            gap: 0.0,
            lead: Lead::default(),
            has_led: false,
            entropy: 1.0,
            config: config.clone(),
        }
    }

    /// The ramp x at `time`.
    pub fn ramp(&self, time: f64) -> f64 {
        let length = self.by_lead(self.config.unled_ramp, self.config.ramp);
        self.reached.map_or(0.0, |reached| {
            (reached.x + (time - reached.time) / length).clamp(0.0, 1.0)
        })
    }

    /// How far the joint policy leads, from 0 (not at all, or nothing is known) to 1 (in full); 1 where that
    /// does not count.
    fn led(&self) -> f64 {
        if self.config.full_lead == 0.0 {
            return 1.0;
        }
        let average = self.lead.average(self.config.lead_errors);
        average.map_or(0.0, |[lead, margin]| {
            ((lead - margin) / self.config.full_lead).clamp(0.0, 1.0)
        })
    }

    /// Whether the joint policy is ahead (1) or behind (−1) for certain: by twice the errors that a lead must exceed.
    fn is_certainly(&self, sign: f64) -> bool {
        let errors = 2.0 * self.config.lead_errors;
        let beyond = |[lead, margin]: [f64; 2]| sign * lead - margin > 0.0;
        errors > 0.0 && self.lead.is_settled() && self.lead.average(errors).is_some_and(beyond)
    }

    /// From `without` to `within`, as far as the joint policy leads; `within` where the ramp does not regard that.
    fn by_lead(&self, without: f64, within: f64) -> f64 {
        match self.config.unled_ramp > 0.0 {
            true => without + (within - without) * self.led(),
            false => within,
        }
    }

    /// The weights at `time`.
    pub fn coefficients(&self, time: f64) -> Coefficients {
        let c = &self.config;
        let x = self.ramp(time);
        let start = c.temperature_start * (1.0 - time / c.warmup).max(0.0);
        let missing = (c.least_entropy - self.entropy).max(0.0);
        let measured = c.temperature_per_gap * self.gap + c.temperature_per_entropy * missing;
        let led = if self.has_led { c.temperature_led } else { 0.0 };
        let lasting = (c.temperature_floor + measured)
            .min(c.temperature_limit)
            .max(led);
        let left = match c.temperature_until > c.warmup {
            true => (c.temperature_until - time) / (c.temperature_until - c.warmup),
            false => 1.0 - x,
        };
        Coefficients {
            beta: x + c.beta_start * (1.0 - x),
            lambda: if x > 0.0 {
                c.lambda_start * (c.lambda_end / c.lambda_start).powf(x)
            } else {
                0.0
            },
            fit: (1.0 - x) * self.led(),
            tau: start + lasting * left.clamp(0.0, 1.0),
        }
    }

    /// (w_IG, w_TC).
    pub fn divergence_weights(&self) -> (f64, f64) {
        (self.config.information_gap, self.config.total_correlation)
    }

    /// Takes in the entropy of those who act, as a share of the largest that it can be.
    pub fn observe_entropy(&mut self, share: f64) {
        if share.is_finite() {
            let decay = self.config.gap_decay;
            self.entropy = decay * self.entropy + (1.0 - decay) * share;
        }
    }

    /// Takes in what update `time` measured: what those who acted earned, the mean information gap in nats,
    /// and by how much better the joint policy's actions were than the product's.
    pub fn observe(&mut self, time: f64, earned: Earned, gap: f64, lead: f64) {
        // The lead moves what is left of the ramp, never what has been of it.
        if self.config.unled_ramp > 0.0 && self.reached.is_some() {
            let x = self.ramp(time);
            self.reached = Some(Reached { x, time });
        }
        let c = &self.config;
        // What a learner that has diverged measures says nothing, and must not hold the gate shut.
        if gap.is_finite() {
            self.gap = c.gap_decay * self.gap + (1.0 - c.gap_decay) * gap;
        }
        if lead.is_finite() {
            self.lead.observe(lead, c.gap_decay);
            self.has_led |= self.is_certainly(1.0);
        }
        let c = &self.config;
        if self.reached.is_some() {
            return;
        }
        // Where rollouts are shorter than episodes, not every batch sees one end.
        if earned.fresh {
            self.window_sum += earned.mean;
            self.window_count += 1;
        }
        // Who leads is not known yet.
        let early = c.unled_ramp > 0.0 && c.lead_errors > 0.0 && !self.lead.is_settled();
        let latest = match early {
            true => c.warmup_limit,
            false => self.by_lead(c.warmup, c.warmup_limit),
        };
        let mut open = time >= latest || c.unled_ramp > 0.0 && self.is_certainly(-1.0);
        if !open && time >= self.window_end && self.window_count > 0 {
            let mean = self.window_sum / f64::from(self.window_count);
            // In units of the range as it is now: it may have been narrower when the best window was.
            let unit = if earned.range > 0.0 {
                earned.range
            } else {
                1.0
            };
            let gain = (mean - self.best_window) / unit;
            open = time >= c.warmup && !early && gain < c.plateau_gain;
            self.best_window = self.best_window.max(mean);
            (self.window_sum, self.window_count) = (0.0, 0);
            self.window_end += c.plateau_window;
        }
        self.reached = open.then_some(Reached { x: 0.0, time });
    }
}

#[cfg(test)]
mod tests;
