//! How the weights of the annealed loss move in time, one schedule a replica.
//!
//! The ramp x rises from 0 to 1 once the *gate* has opened; β = β₀ + (1 − β₀) x; λ is geometric in x; the
//! temperature τ first decays with the clock and then follows what is measured: the information gap, whether
//! little entropy is left, whether the joint policy leads; the marginals' fit fades with the ramp and, where both policies act from the start, can follow the joint policy's
//! measured lead, as can how soon the ramp begins and how long it takes.

use serde::{Deserialize, Serialize};

/// Times are fractions of the arm's updates, rewards are in units of the return range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnnealSchedule {
    /// Earliest time the gate may open, but for a joint policy that is [behind](Self::lead_errors).
    pub warmup: f64,
    /// Latest time the gate opens, plateau or not.
    pub warmup_limit: f64,
    /// Length of the window over which the return is averaged to find its plateau.
    pub plateau_window: f64,
    /// The return is on a plateau when a window improves on the best before it by less.
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

    /// Takes in what update `time` measured: the mean return of those who acted (in units of the return
    /// range), the mean information gap in nats, and by how much better the joint policy's actions were than
    /// the product's.
    pub fn observe(&mut self, time: f64, mean_return: f64, gap: f64, lead: f64) {
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
        self.window_sum += mean_return;
        self.window_count += 1;
        let latest = match c.lead_errors > 0.0 && !self.lead.is_settled() {
            true => c.warmup_limit,
            false => self.by_lead(c.warmup, c.warmup_limit),
        };
        let mut open = time >= latest || c.unled_ramp > 0.0 && self.is_certainly(-1.0);
        if !open && time >= self.window_end {
            let mean = self.window_sum / f64::from(self.window_count);
            open = time >= c.warmup && mean < self.best_window + c.plateau_gain;
            self.best_window = self.best_window.max(mean);
            (self.window_sum, self.window_count) = (0.0, 0);
            self.window_end += c.plateau_window;
        }
        self.reached = open.then_some(Reached { x: 0.0, time });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> AnnealSchedule {
        AnnealSchedule {
            warmup: 0.2,
            warmup_limit: 0.3,
            plateau_window: 0.02,
            plateau_gain: 0.01,
            ramp: 0.5,
            lambda_start: 0.01,
            lambda_end: 10.0,
            ..AnnealSchedule::default()
        }
    }

    /// Runs a thousand updates of the given mean return; the time at which the ramp started.
    fn gate(mean_return: impl Fn(f64) -> f64) -> f64 {
        let mut schedule = Anneal::new(&config());
        for update in 0..1000 {
            let time = f64::from(update) / 1000.0;
            schedule.observe(time, mean_return(time), 0.0, 0.0);
            if let Some(reached) = schedule.reached {
                return reached.time;
            }
        }
        panic!("the gate never opened");
    }

    #[test]
    fn the_gate_opens_on_a_plateau_not_before_warmup_and_not_after_its_limit() {
        // Flat from the start: the first window that ends after the warm-up decides.
        assert!((gate(|_| 0.5) - 0.2).abs() < 0.021, "{}", gate(|_| 0.5));
        // Rising by .02 a window throughout, twice the gain that counts as a plateau.
        assert!((gate(|time| time) - 0.3).abs() < 1e-9);
        // Rising until .25.
        let bent = gate(|time| time.min(0.25));
        assert!((0.25..0.3).contains(&bent), "{bent}");
    }

    #[test]
    fn beta_is_linear_and_lambda_geometric_in_the_ramp() {
        let mut schedule = Anneal::new(&config());
        assert_eq!(schedule.coefficients(0.2).lambda, 0.0);
        schedule.reached = Some(Reached { x: 0.0, time: 0.3 });
        let half = schedule.coefficients(0.55);
        assert!((half.beta - 0.5).abs() < 1e-12 && (half.fit - 0.5).abs() < 1e-12);
        // Half way between .01 and 10 geometrically: √(.01 · 10).
        assert!((half.lambda - 0.1_f64.sqrt()).abs() < 1e-12);
        let end = schedule.coefficients(0.9);
        assert_eq!((end.beta, end.fit, end.tau), (1.0, 0.0, 0.0));
    }

    #[test]
    fn the_fit_follows_the_lead_and_beta_rises_from_where_it_starts() {
        let mut schedule = Anneal::new(&AnnealSchedule {
            beta_start: 0.5,
            full_lead: 0.1,
            gap_decay: 0.5,
            ..config()
        });
        let at = |schedule: &Anneal, time| {
            let c = schedule.coefficients(time);
            (c.beta, c.fit)
        };
        assert_eq!(at(&schedule, 0.0), (0.5, 0.0));
        // Of .03 and, weighed twice as much, .075 the average is .06, of which .1 would be enough.
        schedule.observe(0.01, 0.0, 0.0, 0.03);
        let (_, fit) = at(&schedule, 0.01);
        assert!((fit - 0.3).abs() < 1e-12, "{fit}");
        schedule.observe(0.015, 0.0, 0.0, 0.075);
        schedule.observe(0.016, 0.0, 0.0, f64::NAN);
        let (beta, fit) = at(&schedule, 0.016);
        assert!(beta == 0.5 && (fit - 0.6).abs() < 1e-12, "{beta} {fit}");
        (0..20).for_each(|_| schedule.observe(0.02, 0.0, 0.0, 9.0));
        schedule.reached = Some(Reached { x: 0.0, time: 0.3 });
        // Half way up the ramp of .5.
        let (beta, fit) = at(&schedule, 0.55);
        assert!((beta - 0.75).abs() < 1e-12 && (fit - 0.5).abs() < 1e-12);
        (0..20).for_each(|_| schedule.observe(0.02, 0.0, 0.0, -1.0));
        assert_eq!(at(&schedule, 0.55).1, 0.0);
        assert_eq!(at(&schedule, 0.8), (1.0, 0.0));
    }

    #[test]
    fn the_ramp_is_short_where_nobody_leads_and_goes_on_from_where_it_is() {
        let new = || {
            Anneal::new(&AnnealSchedule {
                unled_ramp: 0.1,
                beta_start: 0.5,
                full_lead: 0.1,
                gap_decay: 0.0,
                plateau_gain: 0.0,
                ..config()
            })
        };
        let mut unled = new();
        // No plateau: the return rises, .001 an update. The gate opens with the warm-up's end.
        let rising = |schedule: &mut Anneal, lead: f64, updates: std::ops::Range<u32>| {
            for update in updates {
                let time = f64::from(update) / 1000.0;
                schedule.observe(time, time, 0.0, lead);
            }
        };
        rising(&mut unled, -0.3, 0..201);
        assert!((unled.ramp(0.25) - 0.5).abs() < 1e-9);
        // From there, at x = .5, led: half of .5 is left to go.
        rising(&mut unled, -0.3, 201..250);
        rising(&mut unled, 0.1, 250..251);
        assert!((unled.ramp(0.25) - 0.5).abs() < 1e-9);
        assert!((unled.ramp(0.375) - 0.75).abs() < 1e-9);
        // However few updates there are, eight of them: a lead from the start on is known by then, or, where chance
        // counts, waited for.
        for lead_errors in [0.0, 2.0] {
            let mut few = Anneal::new(&AnnealSchedule {
                gap_decay: 0.95,
                lead_errors,
                ..new().config
            });
            for update in 0..8 {
                let time = f64::from(update) / 8.0;
                few.observe(time, time, 0.0, 0.1);
                // The first update after the limit, .3.
                assert_eq!(few.ramp(2.0) > 0.0, time >= 0.3, "{time}");
            }
        }
        // Led throughout, as if there were no such setting; led by half, half of the way between.
        let mut led = new();
        rising(&mut led, 0.2, 0..301);
        assert!((led.ramp(0.55) - 0.5).abs() < 1e-9);
        let mut half = new();
        rising(&mut half, 0.05, 0..251);
        assert!((half.ramp(0.4) - 0.5).abs() < 1e-9, "{}", half.ramp(0.4));
    }

    #[test]
    fn a_lead_counts_by_what_is_beyond_chance() {
        let new = |lead_errors| {
            Anneal::new(&AnnealSchedule {
                unled_ramp: 0.1,
                beta_start: 0.5,
                full_lead: 0.1,
                lead_errors,
                ..config()
            })
        };
        let fit = |schedule: &Anneal| schedule.coefficients(0.0).fit;
        // Leads of m ± .06 in turn, long enough for the average to be m (± .06/39), and its error, of
        // (1 + .95)/(1 − .95) = 39 leads that count, .06/√(39 − 3).
        let measured = |lead_errors, mean: f64| {
            let mut schedule = new(lead_errors);
            for update in 0..400 {
                let chance = if update % 2 == 0 { 0.06 } else { -0.06 };
                schedule.observe(0.01, 0.0, 0.0, mean + chance);
            }
            schedule
        };
        let error = 0.06 / 36.0_f64.sqrt();
        let whole = fit(&measured(0.0, 0.05));
        assert!((whole - 0.5).abs() < 0.02, "{whole}");
        let beyond = fit(&measured(2.0, 0.05));
        assert!(
            (whole - beyond - 2.0 * error / 0.1).abs() < 0.005,
            "{beyond}"
        );
        assert_eq!(fit(&measured(2.0, 0.015)), 0.0);
        assert!(fit(&measured(0.0, 0.015)) > 0.1);
        // Leads of .1 and 0 in turn, equally old, five: 1 − .999⁵ is nearly .005, so that they have nearly equal weights;
        // mean .06, s² = .0024, error √(.0024/2) = .0346, in place of √(.0024/4) = .0245 if it were known.
        let mut noisy = Anneal::new(&AnnealSchedule {
            gap_decay: 0.999,
            lead_errors: 1.0,
            ..new(1.0).config
        });
        for update in 0..5 {
            noisy.observe(0.01, 0.0, 0.0, if update % 2 == 0 { 0.1 } else { 0.0 });
        }
        assert!(
            (fit(&noisy) - (0.6 - 0.346)).abs() < 0.005,
            "{}",
            fit(&noisy)
        );
        // Three leads say nothing of chance; four that are alike seem to be none.
        let mut few = new(2.0);
        for lead in 1..=4 {
            few.observe(0.01, 0.0, 0.0, 0.05);
            let expected = if lead > 3 { 0.5 } else { 0.0 };
            assert!((fit(&few) - expected).abs() < 1e-6, "{lead} {}", fit(&few));
        }
    }

    #[test]
    fn who_is_behind_for_certain_hands_over_before_the_warm_up_ends() {
        let opens = |unled_ramp, lead_errors, mean: f64| {
            let mut schedule = Anneal::new(&AnnealSchedule {
                unled_ramp,
                beta_start: 0.5,
                full_lead: 0.1,
                lead_errors,
                plateau_gain: 0.0,
                ..config()
            });
            for update in 0..1000 {
                let time = f64::from(update) / 1000.0;
                let chance = if update % 2 == 0 { 0.06 } else { -0.06 };
                schedule.observe(time, time, 0.0, mean + chance);
                if let Some(reached) = schedule.reached {
                    return reached.time;
                }
            }
            panic!("the gate never opened");
        };
        // By more than four errors of .06/√15 (twenty leads, of which eighteen count), as soon as the average is long
        // enough: 1 − .95²⁰ is above 1 − 1/e.
        assert_eq!(opens(0.1, 2.0, -0.1), 0.019);
        // By two and a half of .06/√36, or whoever is behind where chance does not count: with the warm-up.
        assert_eq!(opens(0.1, 2.0, -0.025), 0.2);
        assert_eq!(opens(0.1, 0.0, -0.1), 0.2);
        // Without a ramp for who does not lead, the gate goes by the plateau alone.
        assert_eq!(opens(0.0, 2.0, -0.1), 0.3);
    }

    #[test]
    fn who_leads_for_certain_is_given_time_to_choose() {
        let measured = |temperature_led, mean: f64| {
            let mut schedule = Anneal::new(&AnnealSchedule {
                unled_ramp: 0.1,
                beta_start: 0.5,
                full_lead: 0.1,
                lead_errors: 2.0,
                temperature_floor: 0.01,
                temperature_limit: 0.02,
                temperature_until: 0.8,
                temperature_led,
                ..config()
            });
            let observe = |schedule: &mut Anneal, updates, mean: f64| {
                for update in 0..updates {
                    let chance = if update % 2 == 0 { 0.06 } else { -0.06 };
                    schedule.observe(0.01, 0.0, 0.0, mean + chance);
                }
            };
            // Nineteen leads are too few to be certain of any.
            observe(&mut schedule, 19, mean);
            assert_eq!(schedule.coefficients(0.2).tau, 0.01);
            observe(&mut schedule, 400, mean);
            let led = schedule.coefficients(0.2).tau;
            // Whatever comes after, it falls as it would have.
            observe(&mut schedule, 400, -1.0);
            assert_eq!(schedule.coefficients(0.2).tau, led);
            assert!((schedule.coefficients(0.5).tau - led / 2.0).abs() < 1e-12);
            led
        };
        // Four errors are 4 · .06/√36 = .04.
        assert_eq!(measured(0.03, 0.05), 0.03);
        assert_eq!(measured(0.03, 0.03), 0.01);
        assert_eq!(measured(0.0, 0.05), 0.01);
        // It is a least value.
        assert_eq!(measured(0.005, 0.05), 0.01);
    }

    #[test]
    fn temperature_rises_by_what_entropy_lacks() {
        let mut schedule = Anneal::new(&AnnealSchedule {
            temperature_floor: 0.01,
            temperature_per_entropy: 0.2,
            temperature_limit: 0.03,
            temperature_until: 0.8,
            least_entropy: 0.2,
            ..config()
        });
        let mut tau = |time: f64, share: f64| {
            (0..400).for_each(|_| schedule.observe_entropy(share));
            schedule.coefficients(time).tau
        };
        let close = |found: f64, expected: f64| {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        };
        // Where nothing has been measured, nothing is missing.
        close(tau(0.2, f64::NAN), 0.01);
        close(tau(0.2, 0.25), 0.01);
        // .05 of the whole are missing: .2 · .05 more.
        close(tau(0.2, 0.15), 0.02);
        // .2 would be .04 more, beyond the limit; half of it half way from .2 to .8, and gone there.
        close(tau(0.2, 0.0), 0.03);
        close(tau(0.5, 0.0), 0.015);
        close(tau(0.8, 0.0), 0.0);
    }

    #[test]
    fn temperature_falls_with_the_clock_then_follows_the_gap() {
        let config = config();
        let mut schedule = Anneal::new(&config);
        let early = schedule.coefficients(0.1).tau;
        let expected = config.temperature_start * 0.5 + config.temperature_floor;
        assert!((early - expected).abs() < 1e-12);
        assert!((schedule.coefficients(0.25).tau - config.temperature_floor).abs() < 1e-12);
        let until = AnnealSchedule {
            temperature_until: 0.8,
            ..config.clone()
        };
        // Half way from .2 to .8, and gone there, whatever the ramp.
        let half = Anneal::new(&until).coefficients(0.5).tau;
        assert!((half - 0.5 * config.temperature_floor).abs() < 1e-12);
        assert_eq!(Anneal::new(&until).coefficients(0.9).tau, 0.0);
        // What is no number says nothing.
        for gap in [f64::NAN, f64::INFINITY] {
            schedule.observe(0.25, 0.0, gap, 0.0);
        }
        assert!((schedule.coefficients(0.25).tau - config.temperature_floor).abs() < 1e-12);
        // A large, lasting gap drives τ to its limit.
        (0..500).for_each(|_| schedule.observe(0.25, 0.0, 5.0, 0.0));
        assert!((schedule.coefficients(0.25).tau - config.temperature_limit).abs() < 1e-9);
    }
}
