//! Two slots of flash as C uses them: updates, trials, refusals, and what is left when the power fails.

mod common;

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

use consort_c::*;
use consort_runtime::{Activation, AlignedBytes, DenseRepr, Head, ImageRepr, LayerRepr, TeamId};

const ERASE: usize = 256;
const SLOT: usize = 2 * ERASE;

/// Flash that is written by 8 bytes, a counter, and the power.
struct Board {
    flash: AlignedBytes<{ 2 * SLOT }>,
    /// Bytes that may still be written or erased.
    power: usize,
    revision: u32,
    /// Whether the counter answers.
    counts: bool,
    /// Agents that the board takes images of.
    agent: u16,
}

impl Board {
    fn new() -> Box<Self> {
        Box::new(Board {
            flash: AlignedBytes([0x5a; 2 * SLOT]),
            power: usize::MAX,
            revision: 0,
            counts: true,
            agent: 0,
        })
    }

    /// Spends power on `len` bytes; for how many of them it is enough.
    fn spend(&mut self, len: usize) -> usize {
        let spent = len.min(self.power);
        self.power -= spent;
        spent
    }
}

/// The board that a context leads to.
unsafe fn board<'a>(context: *mut c_void) -> &'a mut Board {
    // SAFETY: the tests give a board to every function.
    unsafe { &mut *context.cast::<Board>() }
}

unsafe extern "C" fn view(context: *mut c_void, offset: u32, len: u32) -> *const c_void {
    // SAFETY: the tests give a board.
    let board = unsafe { board(context) };
    let bytes = board.flash.0.get(offset as usize..).unwrap_or_default();
    match bytes.len() >= len as usize {
        true => bytes.as_ptr().cast(),
        false => null(),
    }
}

unsafe extern "C" fn write(
    context: *mut c_void,
    offset: u32,
    bytes: *const c_void,
    len: u32,
) -> bool {
    // SAFETY: the tests give a board, the library as many bytes as it says.
    let (board, bytes) = unsafe {
        (
            board(context),
            std::slice::from_raw_parts(bytes.cast::<u8>(), len as usize),
        )
    };
    assert!(offset.is_multiple_of(32) && len.is_multiple_of(32));
    let spent = board.spend(bytes.len());
    let place = &mut board.flash.0[offset as usize..][..bytes.len()];
    assert!(place.iter().all(|&byte| byte == 0xff), "written twice");
    place[..spent].copy_from_slice(&bytes[..spent]);
    spent == bytes.len()
}

unsafe extern "C" fn erase(context: *mut c_void, offset: u32, len: u32) -> bool {
    // SAFETY: the tests give a board.
    let board = unsafe { board(context) };
    assert!((offset as usize).is_multiple_of(ERASE) && (len as usize).is_multiple_of(ERASE));
    let spent = board.spend(len as usize);
    board.flash.0[offset as usize..][..spent].fill(0xff);
    spent == len as usize
}

unsafe extern "C" fn suits(context: *mut c_void, info: *const ConsortInfo) -> bool {
    // SAFETY: the tests give a board, the library what it found.
    unsafe { board(context).agent == (*info).agent }
}

unsafe extern "C" fn least(context: *mut c_void, revision: *mut u32) -> bool {
    // SAFETY: the tests give a board, the library a place.
    unsafe {
        *revision = board(context).revision;
        board(context).counts
    }
}

unsafe extern "C" fn advance(context: *mut c_void, revision: u32) -> bool {
    // SAFETY: the tests give a board.
    let board = unsafe { board(context) };
    assert!(revision > board.revision, "a counter goes up only");
    if board.counts {
        board.revision = revision;
    }
    board.counts
}

fn flash(board: &mut Board) -> ConsortFlash {
    ConsortFlash {
        context: (&raw mut *board).cast(),
        view: Some(view),
        write: Some(write),
        erase: Some(erase),
        base: 0,
        slot_len: SLOT as u32,
        erase_size: ERASE as u32,
        read: None,
    }
}

fn admission(board: &mut Board, key: &mut [u8; 32]) -> ConsortAdmission {
    ConsortAdmission {
        verify: Some(consort_verify_ed25519),
        verify_context: key.as_mut_ptr().cast(),
        context: (&raw mut *board).cast(),
        suits: Some(suits),
        least: Some(least),
        advance: Some(advance),
    }
}

fn pair() -> ed25519_compact::KeyPair {
    ed25519_compact::KeyPair::from_seed([3; 32].into())
}

/// A signed image.
fn image(agent: u16, revision: u32) -> Vec<u8> {
    let repr = ImageRepr {
        team: TeamId([9; 16]),
        agent,
        agents: 2,
        revision,
        period_us: 0,
        seeding: None,
        head: Head::Categorical { actions: 2 },
        layers: &[LayerRepr::Dense(DenseRepr {
            inputs: 1,
            outputs: 2,
            activation: Activation::Identity,
            weights: &[1.0, -1.0],
            biases: &[0.5, revision as f32],
        })],
    };
    let mut bytes = AlignedBytes([0; ERASE]);
    let sign = |message: &[u8]| *pair().sk.sign(message, None);
    let len = repr.emit_signed(&mut bytes.0, sign).unwrap();
    bytes.0[..len].to_vec()
}

/// Slots in memory that nothing was written to before, as after a reset.
fn slots(board: &mut Board, key: &mut [u8; 32]) -> Box<ConsortSlots> {
    let mut slots = Box::new(MaybeUninit::<ConsortSlots>::uninit());
    // SAFETY: any bytes are valid numbers; the structures are initialised, the board outlives the test's use of the slots.
    unsafe {
        (slots.as_mut_ptr().cast::<u8>()).write_bytes(0xa5, size_of::<ConsortSlots>());
        let (flash, admission) = (flash(board), admission(board, key));
        let status = consort_slots_init(slots.as_mut_ptr(), &raw const flash, &raw const admission);
        assert_eq!(status, OK);
        slots.assume_init()
    }
}

fn boot(slots: &mut ConsortSlots) -> Result<ConsortBoot, Status> {
    let mut boot = MaybeUninit::<ConsortBoot>::zeroed();
    // SAFETY: both are valid; zeros are numbers and a null pointer.
    unsafe {
        match consort_slots_boot(slots, boot.as_mut_ptr()) {
            OK => Ok(boot.assume_init()),
            error => Err(error),
        }
    }
}

/// Sends an image by parts of 50 bytes; the first status that is an error.
fn send(slots: &mut ConsortSlots, image: &[u8]) -> Status {
    // SAFETY: the slots are valid, the parts as long as said.
    unsafe {
        let mut status = consort_update_begin(slots);
        for part in image.chunks(50) {
            if status == OK {
                status = consort_update_write(slots, part.as_ptr().cast(), part.len());
            }
        }
        match status {
            OK => consort_update_commit(slots),
            error => error,
        }
    }
}

fn confirm(slots: &mut ConsortSlots) -> Status {
    // SAFETY: the slots are valid.
    unsafe { consort_slots_confirm(slots) }
}

#[test]
fn an_update_is_tried_and_confirmed() {
    let (mut board, mut key) = (Board::new(), *pair().pk);
    let mut own = slots(&mut board, &mut key);
    assert_eq!(send(&mut own, &image(0, 1)), ERR_NOT_BOOTED);
    assert_eq!(boot(&mut own), Err(ERR_NO_IMAGE));
    assert_eq!(confirm(&mut own), ERR_NOT_BOOTED);
    for (revision, slot) in [(1, 0), (2, 1), (3, 0)] {
        let new = image(0, revision);
        assert_eq!(send(&mut own, &new), OK);
        let found = boot(&mut own).unwrap();
        let expected = ConsortBoot {
            image: (&raw const board.flash.0[SLOT * slot as usize]).cast(),
            image_len: new.len(),
            revision,
            slot,
            confirmed: 0,
            trials_left: 2,
            counter_behind: 0,
        };
        assert_eq!(found, expected);
        // SAFETY: the image lies in the board's flash.
        let bytes =
            unsafe { std::slice::from_raw_parts(found.image.cast::<u8>(), found.image_len) };
        assert_eq!(bytes, new);
        assert_eq!(common::init(bytes).1, OK, "it acts where it lies");
        assert_eq!(send(&mut own, &image(0, revision + 1)), ERR_UNCONFIRMED);
        assert_eq!(confirm(&mut own), OK);
        let settled = ConsortBoot {
            confirmed: 1,
            trials_left: 0,
            ..expected
        };
        assert_eq!(boot(&mut own), Ok(settled));
        assert_eq!(board.revision, revision);
    }
}

#[test]
fn a_trial_that_is_not_confirmed_ends_at_the_old_image() {
    let (mut board, mut key) = (Board::new(), *pair().pk);
    let mut own = slots(&mut board, &mut key);
    assert_eq!(boot(&mut own), Err(ERR_NO_IMAGE));
    assert_eq!(send(&mut own, &image(0, 1)), OK);
    assert_eq!(boot(&mut own).unwrap().trials_left, 2);
    assert_eq!(confirm(&mut own), OK);
    assert_eq!(send(&mut own, &image(0, 2)), OK);
    for left in [2, 1, 0] {
        // A reset each.
        let mut own = slots(&mut board, &mut key);
        let found = boot(&mut own).unwrap();
        assert_eq!((found.revision, found.trials_left), (2, left));
    }
    let found = boot(&mut slots(&mut board, &mut key)).unwrap();
    assert_eq!((found.revision, found.confirmed), (1, 1));
}

#[test]
fn what_may_not_act_is_not_committed() {
    let (mut board, mut key) = (Board::new(), *pair().pk);
    let mut own = slots(&mut board, &mut key);
    assert_eq!(boot(&mut own), Err(ERR_NO_IMAGE));
    assert_eq!(send(&mut own, &image(0, 5)), OK);
    assert!(boot(&mut own).is_ok());
    assert_eq!(confirm(&mut own), OK);

    let mut forged = image(0, 6);
    *forged.last_mut().unwrap() ^= 1;
    let mut damaged = image(0, 6);
    damaged[20] ^= 1;
    for (bytes, expected) in [
        (image(1, 6), ERR_UNSUITABLE),
        (image(0, 4), ERR_ROLLBACK),
        (damaged, ERR_IMAGE_CHECKSUM),
        (forged[..forged.len() - 1].to_vec(), ERR_IMAGE_LENGTH),
        (vec![0; SLOT - ERASE + 1], ERR_SLOT_FULL),
    ] {
        assert_eq!(send(&mut own, &bytes), expected);
        // SAFETY: the slots are valid, and nothing is as long as said.
        unsafe {
            let s = &raw mut *own;
            assert_eq!(consort_update_write(s, null(), 0), ERR_NO_UPDATE);
            assert_eq!(consort_update_commit(s), ERR_NO_UPDATE);
        }
        assert_eq!(boot(&mut own).unwrap().revision, 5);
    }
    // Another team's key.
    let mut other = *ed25519_compact::KeyPair::from_seed([4; 32].into()).pk;
    let mut own = slots(&mut board, &mut other);
    assert_eq!(boot(&mut own), Err(ERR_NO_IMAGE));
    assert_eq!(send(&mut own, &image(0, 6)), ERR_IMAGE_SIGNATURE);

    board.counts = false;
    let mut own = slots(&mut board, &mut key);
    assert_eq!(boot(&mut own), Err(ERR_COUNTER));
}

/// A board whose flash is read by a driver, to one buffer.
#[repr(C)]
struct Copying {
    board: Board,
    copy: AlignedBytes<ERASE>,
    reads: usize,
}

unsafe extern "C" fn view_copied(context: *mut c_void, offset: u32, len: u32) -> *const c_void {
    // SAFETY: the test gives such a board.
    let own = unsafe { &mut *context.cast::<Copying>() };
    let found = &own.board.flash.0[offset as usize..][..len as usize];
    // As a driver that reads whole pages.
    own.copy.0.fill(0x66);
    own.copy.0[..len as usize].copy_from_slice(found);
    own.copy.0.as_ptr().cast()
}

unsafe extern "C" fn read(context: *mut c_void, offset: u32, bytes: *mut c_void, len: u32) -> bool {
    assert!(offset.is_multiple_of(32) && len.is_multiple_of(32));
    // SAFETY: the test gives such a board, the library a place for as many bytes as it says.
    let (own, place) = unsafe {
        (
            &mut *context.cast::<Copying>(),
            std::slice::from_raw_parts_mut(bytes.cast::<u8>(), len as usize),
        )
    };
    own.reads += 1;
    place.copy_from_slice(&own.board.flash.0[offset as usize..][..len as usize]);
    true
}

/// The action that a policy takes.
fn step(policy: &ConsortPolicy) -> u32 {
    let (mut memory, mut action) = ([0.0; 16], u32::MAX);
    let observation = [1.0_f32];
    // SAFETY: the policy is initialised, the places are as long as said.
    let status = unsafe {
        consort_act_greedy(
            policy,
            observation.as_ptr(),
            1,
            memory.as_mut_ptr(),
            memory.len(),
            &raw mut action,
        )
    };
    assert_eq!(status, OK);
    action
}

/// Where looking at flash is copying it, what acts is not copied over by records, and a refused update leaves what the caller copied.
#[test]
fn an_image_that_is_copied_to_be_viewed_goes_on_acting() {
    let mut own = Box::new(Copying {
        board: *Board::new(),
        copy: AlignedBytes([0; ERASE]),
        reads: 0,
    });
    let driver = ConsortFlash {
        view: Some(view_copied),
        read: Some(read),
        ..flash(&mut own.board)
    };
    let mut slots = Box::new(MaybeUninit::<ConsortSlots>::zeroed());
    // SAFETY: zeros are numbers; the structures are initialised, the board outlives the slots.
    let slots = unsafe {
        let status = consort_slots_init(slots.as_mut_ptr(), &raw const driver, null());
        assert_eq!(status, OK);
        &mut *slots.as_mut_ptr()
    };
    assert_eq!(boot(slots), Err(ERR_NO_IMAGE));
    assert_eq!(send(slots, &image(0, 3)), OK);
    let found = boot(slots).unwrap();
    // Where it lies: confirming reads and writes records, and must not touch it.
    // SAFETY: as many bytes as the boot says.
    let bytes = unsafe { std::slice::from_raw_parts(found.image.cast::<u8>(), found.image_len) };
    let (policy, status) = common::init(bytes);
    assert_eq!(status, OK);
    let acted = step(&policy);
    assert_eq!(acted, 1);
    assert_eq!(confirm(slots), OK);
    assert_eq!(step(&policy), acted);
    // SAFETY: the slots are valid.
    assert_eq!(unsafe { consort_update_begin(slots) }, OK);
    assert_eq!(step(&policy), acted);
    assert!(own.reads > 0);
    // A commit looks at the new image in the same buffer; the caller's copy is its own.
    let kept = AlignedBytes::<ERASE>(own.copy.0);
    let (policy, status) = common::init(&kept.0[..found.image_len]);
    assert_eq!((status, step(&policy)), (OK, acted));
    assert_eq!(send(slots, &image(0, 2)), ERR_ROLLBACK);
    assert_eq!(step(&policy), acted);
    // And where the image is looked at once more, it is the one in use.
    assert_eq!(boot(slots).unwrap().revision, 3);
    assert_eq!(own.copy.0[..found.image_len], kept.0[..found.image_len]);
}

#[test]
fn whatever_byte_the_power_fails_at_there_is_an_image() {
    let (mut first, mut key) = (Board::new(), *pair().pk);
    let mut own = slots(&mut first, &mut key);
    assert_eq!(boot(&mut own), Err(ERR_NO_IMAGE));
    assert_eq!(send(&mut own, &image(0, 1)), OK);
    assert!(boot(&mut own).is_ok());
    assert_eq!(confirm(&mut own), OK);
    let whole = SLOT + image(0, 2).len().next_multiple_of(32) + 32;
    for power in 0..=whole {
        let mut board = Board::new();
        board.flash = first.flash;
        board.revision = 1;
        let mut own = slots(&mut board, &mut key);
        assert_eq!(boot(&mut own).unwrap().revision, 1);
        board.power = power;
        let sent = send(&mut own, &image(0, 2));
        assert_eq!(sent, if power == whole { OK } else { ERR_FLASH }, "{power}");
        board.power = usize::MAX;
        let found = boot(&mut slots(&mut board, &mut key)).unwrap();
        let new = found.revision == 2;
        assert_eq!(new, power == whole, "{power}");
        assert_eq!(
            (found.confirmed, found.slot),
            (u32::from(!new), u32::from(new))
        );
    }
}

#[test]
fn what_is_not_slots_is_refused() {
    let (mut board, mut key) = (Board::new(), *pair().pk);
    let good = flash(&mut board);
    let asked = admission(&mut board, &mut key);
    let mut own = slots(&mut board, &mut key);
    let s = &raw mut *own;
    let mut found = MaybeUninit::<ConsortBoot>::zeroed();
    let f = found.as_mut_ptr();
    let mut blank = Box::new([0usize; SLOTS_WORDS]);
    let b = (&raw mut *blank).cast::<ConsortSlots>();
    let init = |flash: ConsortFlash| {
        // SAFETY: the slots may be written, the structures are initialised.
        unsafe { consort_slots_init(s, &raw const flash, null()) }
    };
    assert_eq!(init(ConsortFlash { view: None, ..good }), ERR_NULL);
    assert_eq!(
        init(ConsortFlash {
            write: None,
            ..good
        }),
        ERR_NULL
    );
    assert_eq!(
        init(ConsortFlash {
            erase: None,
            ..good
        }),
        ERR_NULL
    );
    for (base, slot_len, erase_size) in [
        (100, SLOT as u32, 256),
        (0, 300, 256),
        (0, 256, 256),
        (0, 1024, 128),
        (0, 1024, 0),
        (0xffff_f000, 0x1000, 256),
    ] {
        let wrong = ConsortFlash {
            base,
            slot_len,
            erase_size,
            ..good
        };
        assert_eq!(init(wrong), ERR_LAYOUT);
    }
    // SAFETY: whatever is not refused is valid.
    unsafe {
        assert_eq!(consort_slots_boot(s, f), ERR_HANDLE, "after an error");
        assert_eq!(consort_slots_boot(b, f), ERR_HANDLE);
        assert_eq!(consort_slots_confirm(b), ERR_HANDLE);
        assert_eq!(consort_update_begin(b), ERR_HANDLE);
        assert_eq!(consort_update_write(b, null(), 0), ERR_HANDLE);
        assert_eq!(consort_update_commit(b), ERR_HANDLE);
        assert_eq!(
            consort_slots_init(null_mut(), &raw const good, null()),
            ERR_NULL
        );
        assert_eq!(consort_slots_init(s, null(), null()), ERR_NULL);
        assert_eq!(consort_slots_init(s, s.cast(), null()), ERR_OVERLAP);
        let half = ConsortAdmission {
            advance: None,
            ..asked
        };
        assert_eq!(
            consort_slots_init(s, &raw const good, &raw const half),
            ERR_NULL
        );
        // Nobody is asked: what is not signed may act, too.
        assert_eq!(consort_slots_init(s, &raw const good, null()), OK);
        assert_eq!(consort_slots_boot(s, null_mut()), ERR_NULL);
        assert_eq!(consort_slots_boot(s, s.cast()), ERR_OVERLAP);
        assert_eq!(consort_slots_boot(s, f), ERR_NO_IMAGE);
        assert_eq!(consort_update_commit(s), ERR_NO_UPDATE);
        assert_eq!(consort_update_begin(s), OK);
        assert_eq!(
            consort_update_write(s, s.cast_const().cast(), 4),
            ERR_OVERLAP
        );
        assert_eq!(consort_update_write(s, null(), 4), ERR_NULL);
    }
    assert_eq!(send(&mut own, &image(1, 0)), OK);
    assert_eq!(boot(&mut own).unwrap().revision, 0);
}
