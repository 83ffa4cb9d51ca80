use super::*;

/// Of returns that have been from 0 to 1.
fn earned(mean: f64) -> Earned {
    Earned {
        fresh: true,
        mean,
        in_range: mean,
        range: 1.0,
    }
}

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
        schedule.observe(time, earned(mean_return(time)), 0.0, 0.0);
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

/// What pays more than ever is no plateau, whatever has become of the range meanwhile.
#[test]
fn windows_are_compared_in_one_unit() {
    // After .1 returns are twice as good as before, in a range four times as wide, of which they are half the share.
    // From there they rise in every window of .02 by .03 or by .06; .01 of the range is .04.
    for (slope, opens) in [(1.5, 0.2), (3.0, 0.3)] {
        let mut schedule = Anneal::new(&config());
        let opened = (0..1000).find_map(|update| {
            let time = f64::from(update) / 1000.0;
            let (mean, range) = match time < 0.1 {
                true => (1.0, 1.0),
                false => (2.0 + slope * (time - 0.1), 4.0),
            };
            let earned = Earned {
                fresh: true,
                mean,
                in_range: mean / range,
                range,
            };
            schedule.observe(time, earned, 0.0, 0.0);
            schedule.reached.map(|reached| reached.time)
        });
        let opened = opened.unwrap();
        assert!((opened - opens).abs() < 0.021, "{slope}: {opened}");
    }
    // Of returns that were never different there is no range, and nothing to wait for.
    let mut alike = Anneal::new(&config());
    for update in 0..222 {
        let earned = Earned {
            fresh: true,
            mean: 3.0,
            ..Earned::default()
        };
        alike.observe(f64::from(update) / 1000.0, earned, 0.0, 0.0);
    }
    assert!(alike.reached.is_some());
    // What no episode has earned is no plateau, and what was earned once is not counted again.
    let mut long = Anneal::new(&config());
    for update in 0..222 {
        let nothing = Earned::default();
        long.observe(f64::from(update) / 1000.0, nothing, 0.0, 0.0);
    }
    assert!(long.reached.is_none() && long.window_count == 0);
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
    schedule.observe(0.01, earned(0.0), 0.0, 0.03);
    let (_, fit) = at(&schedule, 0.01);
    assert!((fit - 0.3).abs() < 1e-12, "{fit}");
    schedule.observe(0.015, earned(0.0), 0.0, 0.075);
    schedule.observe(0.016, earned(0.0), 0.0, f64::NAN);
    let (beta, fit) = at(&schedule, 0.016);
    assert!(beta == 0.5 && (fit - 0.6).abs() < 1e-12, "{beta} {fit}");
    (0..20).for_each(|_| schedule.observe(0.02, earned(0.0), 0.0, 9.0));
    schedule.reached = Some(Reached { x: 0.0, time: 0.3 });
    // Half way up the ramp of .5.
    let (beta, fit) = at(&schedule, 0.55);
    assert!((beta - 0.75).abs() < 1e-12 && (fit - 0.5).abs() < 1e-12);
    (0..20).for_each(|_| schedule.observe(0.02, earned(0.0), 0.0, -1.0));
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
            schedule.observe(time, earned(time), 0.0, lead);
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
            few.observe(time, earned(time), 0.0, 0.1);
            // The first update after the limit, .3.
            assert_eq!(few.ramp(2.0) > 0.0, time >= 0.3, "{time}");
        }
        // Nor does a return that rests open it earlier, where chance counts: .25 is after the warm-up.
        let mut resting = Anneal::new(&AnnealSchedule {
            plateau_gain: 0.01,
            ..few.config
        });
        for update in 0..8 {
            let time = f64::from(update) / 8.0;
            resting.observe(time, earned(0.5), 0.0, 0.1);
            let opens = if lead_errors > 0.0 { 0.3 } else { 0.2 };
            assert_eq!(resting.ramp(2.0) > 0.0, time >= opens, "{time}");
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
            schedule.observe(0.01, earned(0.0), 0.0, mean + chance);
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
        noisy.observe(
            0.01,
            earned(0.0),
            0.0,
            if update % 2 == 0 { 0.1 } else { 0.0 },
        );
    }
    assert!(
        (fit(&noisy) - (0.6 - 0.346)).abs() < 0.005,
        "{}",
        fit(&noisy)
    );
    // Three leads say nothing of chance; four that are alike seem to be none.
    let mut few = new(2.0);
    for lead in 1..=4 {
        few.observe(0.01, earned(0.0), 0.0, 0.05);
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
            schedule.observe(time, earned(time), 0.0, mean + chance);
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
                schedule.observe(0.01, earned(0.0), 0.0, mean + chance);
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
        schedule.observe(0.25, earned(0.0), gap, 0.0);
    }
    assert!((schedule.coefficients(0.25).tau - config.temperature_floor).abs() < 1e-12);
    // A large, lasting gap drives τ to its limit.
    (0..500).for_each(|_| schedule.observe(0.25, earned(0.0), 5.0, 0.0));
    assert!((schedule.coefficients(0.25).tau - config.temperature_limit).abs() < 1e-9);
}
