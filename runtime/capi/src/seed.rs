//! The seed that a team shares: symbols that all agents derive alike, and the count of moments that they agree upon.

use core::ffi::c_void;
use core::mem::{align_of, size_of};
use core::num::NonZeroU32;

use consort_runtime::{
    Cadence, Drift, Moment, Policy, SeedClock, SeedClockError, SharedSeed, Symbol,
};

use crate::policy::{ConsortPolicy, policy_apart};
use crate::raw;
use crate::status::{
    self, ERR_CLOCK_EXPIRED, ERR_CLOCK_LOST, ERR_CLOCK_STALE, ERR_HANDLE, ERR_NULL, ERR_NUMBER,
    ERR_SEED, Status,
};
use crate::step::{Generator, Random};

/// `CONSORT_KEY_LEN`: bytes of a team's key.
pub const KEY_LEN: usize = 16;
/// `CONSORT_CLOCK_WORDS`: ample, as with policies.
pub const CLOCK_WORDS: usize = 16;

/// `consort_moment_t`: a step of an episode, as the whole team counts them.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsortMoment {
    /// Episodes before this one.
    pub episode: u64,
    /// Steps of it before this one.
    pub tick: u32,
}

impl From<ConsortMoment> for Moment {
    fn from(moment: ConsortMoment) -> Self {
        Moment::new(moment.episode, moment.tick)
    }
}

impl From<Moment> for ConsortMoment {
    fn from(Moment { episode, tick }: Moment) -> Self {
        ConsortMoment { episode, tick }
    }
}

/// Writes the symbol that the team with this key has at `moment` to the end of `observation`, and its number to `symbol`
/// unless that is null.
///
/// # Safety
///
/// `policy` is null or was given to an `init` function; `key` is null or points to [`KEY_LEN`] bytes, `moment` is null or
/// initialised, `observation` is null or points to `observation_len` values that may be written, as may `symbol`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_seed_write(
    policy: *const ConsortPolicy,
    key: *const u8,
    moment: *const ConsortMoment,
    observation: *mut f32,
    observation_len: usize,
    symbol: *mut u32,
) -> Status {
    let place = (observation.cast_const(), observation_len);
    let written = raw::disjoint((key, KEY_LEN), place)
        .and_then(|()| raw::disjoint((moment, 1), place))
        .and_then(|()| {
            // SAFETY: the caller's promise.
            unsafe {
                write(policy, observation, observation_len, symbol, |policy| {
                    let mut own = [0; KEY_LEN];
                    own.iter_mut()
                        .zip(raw::values(key, KEY_LEN)?)
                        .for_each(|(own, &byte)| *own = byte);
                    let moment = *raw::value(moment)?;
                    let seeding = policy.image().seeding().ok_or(ERR_SEED)?;
                    Ok(SharedSeed::new(own).draw(seeding, moment.into()))
                })
            }
        });
    status::of(written)
}

/// Writes a symbol of the agent's own, drawn from `random`, as [`consort_seed_write`] does: for an agent that does not know
/// the moment and must act all the same.
///
/// # Safety
///
/// As [`consort_seed_write`]; `random` is null or may be called with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_seed_write_private(
    policy: *const ConsortPolicy,
    random: Option<Random>,
    context: *mut c_void,
    observation: *mut f32,
    observation_len: usize,
    symbol: *mut u32,
) -> Status {
    // SAFETY: the caller's promise.
    let written = unsafe {
        write(policy, observation, observation_len, symbol, |policy| {
            let seeding = policy.image().seeding().ok_or(ERR_SEED)?;
            let next = random.ok_or(ERR_NULL)?;
            Ok(Symbol::private(seeding, &mut Generator { next, context }))
        })
    };
    status::of(written)
}

/// Writes the symbol that `draw` gives.
///
/// # Safety
///
/// As [`consort_seed_write`].
unsafe fn write(
    policy: *const ConsortPolicy,
    observation: *mut f32,
    observation_len: usize,
    symbol: *mut u32,
    draw: impl FnOnce(&Policy<'static>) -> Result<Symbol, Status>,
) -> Result<(), Status> {
    let place = (observation.cast_const(), observation_len);
    // SAFETY: the caller's promise.
    let policy = unsafe { ConsortPolicy::get_beside(policy, (observation, observation_len))? };
    if observation_len != policy.image().observation_len() {
        return Err(status::ERR_OBSERVATION_LENGTH);
    }
    if !symbol.is_null() {
        raw::disjoint((symbol.cast_const(), 1), place)?;
        policy_apart(policy, (symbol, 1))?;
    }
    let drawn = draw(policy)?;
    // SAFETY: the caller's promise; it overlaps nothing that is used here.
    let observation = unsafe { raw::values_mut(observation, observation_len)? };
    drawn.write(observation).map_err(status::of_step)?;
    if !symbol.is_null() {
        // SAFETY: aligned, as was just checked.
        unsafe { symbol.write(drawn.index() as u32) };
    }
    Ok(())
}

/// `consort_clock_t`: memory for a `Handle`.
#[repr(C)]
pub struct ConsortClock {
    opaque: [u64; CLOCK_WORDS],
}

/// What lies in a [`ConsortClock`] once it is initialised.
struct Handle {
    marker: u32,
    clock: SeedClock,
}

/// Unlikely in memory that no one has initialised.
const MARKER: u32 = u32::from_le_bytes(*b"CNSC");

const _: () = assert!(size_of::<Handle>() <= size_of::<ConsortClock>());
const _: () = assert!(align_of::<Handle>() <= align_of::<ConsortClock>());

impl ConsortClock {
    /// The clock.
    ///
    /// # Safety
    ///
    /// Unless it is refused, `pointer` points to a `ConsortClock` that nothing else uses during `'a`.
    unsafe fn get<'a>(pointer: *mut Self) -> Result<&'a mut SeedClock, Status> {
        raw::check(pointer, 1)?;
        let handle = pointer.cast::<Handle>();
        // SAFETY: in bounds and aligned by the assertions above; any bits are a valid number.
        if unsafe { (&raw const (*handle).marker).read() } != MARKER {
            return Err(ERR_HANDLE);
        }
        // SAFETY: the marker is written with a clock only.
        Ok(unsafe { &mut (*handle).clock })
    }
}

/// A clock that does not know where the team is, for episodes of `ticks` steps; a resynchronisation is good for `lease`
/// steps.
///
/// # Safety
///
/// `clock` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_clock_init(
    clock: *mut ConsortClock,
    ticks: u32,
    lease: u32,
) -> Status {
    let made = raw::check(clock, 1).and_then(|()| {
        let ticks = NonZeroU32::new(ticks).ok_or(ERR_NUMBER)?;
        let handle = Handle {
            marker: MARKER,
            clock: SeedClock::new(ticks, lease),
        };
        // SAFETY: not null and aligned, as was just checked; size and alignment fit by the assertions above.
        unsafe { clock.cast::<Handle>().write(handle) };
        Ok(())
    });
    status::of(made)
}

/// Says that the team's next step is `moment`; writes how many steps the clock was behind (or, negative, ahead) to `drift`
/// unless that is null: 0 where it was right or had nothing to compare.
///
/// # Safety
///
/// `clock` is null or was given to [`consort_clock_init`]; `moment` is null or initialised; `drift` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_clock_resync(
    clock: *mut ConsortClock,
    moment: *const ConsortMoment,
    drift: *mut i64,
) -> Status {
    let place = (clock.cast_const(), 1);
    let told = raw::disjoint(place, (moment, 1)).and_then(|()| {
        if !drift.is_null() {
            raw::disjoint(place, (drift.cast_const(), 1))?;
        }
        // SAFETY: the caller's promise.
        let (clock, moment) = unsafe { (ConsortClock::get(clock)?, *raw::value(moment)?) };
        let steps = |steps: u64| i64::try_from(steps).unwrap_or(i64::MAX);
        let found = match clock.resync(moment.into()) {
            Drift::Unknown | Drift::None => 0,
            Drift::Behind { steps: behind } => steps(behind),
            Drift::Ahead { steps: ahead } => -steps(ahead),
        };
        if !drift.is_null() {
            // SAFETY: aligned, as was just checked; the caller's promise.
            unsafe { drift.write(found) };
        }
        Ok(())
    });
    status::of(told)
}

/// The moment of the step that the agent takes now, written to `moment`. Once a step, whatever it gives: time passes after
/// an error as well.
///
/// # Safety
///
/// `clock` is null or was given to [`consort_clock_init`]; `moment` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_clock_step(
    clock: *mut ConsortClock,
    moment: *mut ConsortMoment,
) -> Status {
    let apart = raw::disjoint((clock.cast_const(), 1), (moment.cast_const(), 1));
    let stepped = apart.and_then(|()| {
        // SAFETY: the caller's promise.
        let clock = unsafe { ConsortClock::get(clock)? };
        let now = clock.step().map_err(|error| match error {
            SeedClockError::Lost => ERR_CLOCK_LOST,
            SeedClockError::Expired { .. } => ERR_CLOCK_EXPIRED,
            SeedClockError::Stale { .. } => ERR_CLOCK_STALE,
        })?;
        // SAFETY: not null and aligned, as was just checked; the caller's promise.
        unsafe { moment.write(now.into()) };
        Ok(())
    });
    status::of(stepped)
}

/// Says that an episode ended before its time, for all agents: the next step is another's first.
///
/// # Safety
///
/// `clock` is null or was given to [`consort_clock_init`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_clock_begin_episode(clock: *mut ConsortClock) -> Status {
    // SAFETY: the caller's promise.
    let clock = unsafe { ConsortClock::get(clock) };
    status::of(clock.map(SeedClock::begin_episode))
}

/// The moment that is `elapsed_us` after the first, at a step every `period_us` and episodes of `ticks` steps: for agents
/// with a clock in common.
///
/// # Safety
///
/// `moment` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn consort_moment_at(
    period_us: u32,
    ticks: u32,
    elapsed_us: u64,
    moment: *mut ConsortMoment,
) -> Status {
    let found = raw::check(moment, 1).and_then(|()| {
        let cadence = Cadence {
            period_us: NonZeroU32::new(period_us).ok_or(ERR_NUMBER)?,
            ticks: NonZeroU32::new(ticks).ok_or(ERR_NUMBER)?,
        };
        // SAFETY: not null and aligned, as was just checked; the caller's promise.
        unsafe { moment.write(cadence.moment(elapsed_us).into()) };
        Ok(())
    });
    status::of(found)
}
