//! What a firmware gets when something is wrong: a safe action, a refusal, word of another rate.

mod common;

use common::{Aligned, EXAMPLE, RECURRENT, emit, seal};
use consort_runtime::{
    Acted, Action, EmitError, Fault, Guarded, Image, ImageError, ImageRepr, OffPace, Pace, Policy,
    SafeError, StepError, VerifyError, reissue_signed,
};

const BRAKE: Action<'static> = Action::Discrete(1);
const REST: Action<'static> = Action::Continuous(&[0.5, -0.5]);

fn safe<'a>(action: Action<'a>, fault: impl Into<Fault>) -> Acted<'a> {
    Acted {
        action,
        fault: Some(fault.into()),
    }
}

#[test]
fn a_guarded_policy_acts_as_the_policy_does() {
    let bytes = emit(&EXAMPLE);
    let image = Image::new_checked(bytes.bytes()).unwrap();
    let guarded = Guarded::new(Ok::<_, ImageError>(image), BRAKE);
    let mut memory = [0.0; 4];
    assert_eq!(guarded.reset(&mut memory), Ok(()));
    let own = |action| Acted {
        action: Action::Discrete(action),
        fault: None,
    };
    // Logits 1, 1, 3: action 2, and 0 where the mask forbids it.
    assert_eq!(guarded.step(&[1.0, 0.25], &mut memory), own(2));
    let mask = [true, true, false];
    let masked = guarded.step_masked(&[1.0, 0.25], &mask, &mut memory);
    assert_eq!(masked, own(0));
    assert_eq!(guarded.safe(), BRAKE);
    assert_eq!(guarded.policy().unwrap().image().revision(), 7);
}

#[test]
fn every_bad_step_is_the_safe_action_and_changes_no_state() {
    let bytes = emit(&RECURRENT);
    let guarded = Guarded::new(Image::new_checked(bytes.bytes()), REST);
    let mut memory = [0.0; 4];
    guarded.step(&[1.0], &mut memory);
    let state = memory[0];
    assert_ne!(state, 0.0);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = StepError::NonFiniteObservation { index: 0 };
        assert_eq!(guarded.step(&[bad], &mut memory), safe(REST, error));
    }
    let error = StepError::ObservationLength {
        expected: 1,
        found: 2,
    };
    assert_eq!(guarded.step(&[1.0; 2], &mut memory), safe(REST, error));
    let error = StepError::Memory {
        expected: 4,
        found: 3,
    };
    let short = guarded.step(&[1.0], &mut memory[..3]);
    assert_eq!(short, safe(REST, error));
    let masked = guarded.step_masked(&[1.0], &[true; 2], &mut memory);
    assert_eq!(masked, safe(REST, StepError::Kind));
    assert_eq!(memory[0], state);
    assert_eq!(guarded.step(&[1.0], &mut memory).fault, None);

    // A damaged state faults until it is reset.
    memory[0] = f32::NAN;
    let error = StepError::NonFiniteState { index: 0 };
    for _ in 0..2 {
        assert_eq!(guarded.step(&[1.0], &mut memory), safe(REST, error));
    }
    guarded.reset(&mut memory).unwrap();
    assert_eq!(guarded.step(&[1.0], &mut memory).fault, None);
}

#[test]
fn a_refused_image_is_the_safe_action_for_ever() {
    let mut bytes = emit(&EXAMPLE);
    bytes.bytes_mut()[70] ^= 1;
    let refused = Image::new_checked(bytes.bytes()).map(|_| ()).unwrap_err();
    let fault = VerifyError::Image(refused);
    let guarded = Guarded::new(Image::new_checked(bytes.bytes()), BRAKE);
    let mut memory = [0.0; 4];
    assert_eq!(guarded.reset(&mut memory), Err(Fault::Image(fault)));
    for _ in 0..2 {
        let acted = guarded.step(&[1.0, 0.25], &mut memory);
        assert_eq!(acted, safe(BRAKE, fault));
    }
    assert!(guarded.policy().is_err());
}

/// An image of another machine must not drive this one.
#[test]
fn an_image_that_could_never_take_the_safe_action_is_refused() {
    let (discrete, vector) = (emit(&EXAMPLE), emit(&RECURRENT));
    let refusal = |bytes: &Aligned, action: Action<'_>| {
        let guarded = Guarded::new(Image::new_checked(bytes.bytes()), action);
        let mut memory = [0.0; 4];
        let acted = guarded.step(&[1.0, 0.25], &mut memory);
        assert_eq!(acted.action, action);
        match acted.fault {
            Some(Fault::Safe(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let missing = SafeError::Action {
        actions: 3,
        found: 3,
    };
    assert_eq!(refusal(&discrete, Action::Discrete(3)), missing);
    assert_eq!(refusal(&discrete, REST), SafeError::Kind);
    assert_eq!(refusal(&vector, BRAKE), SafeError::Kind);
    let dimensions = SafeError::Dimensions {
        expected: 2,
        found: 1,
    };
    assert_eq!(refusal(&vector, Action::Continuous(&[0.0])), dimensions);
    // A squashed Gaussian's actions end at 1; 1 itself is one.
    let outside = SafeError::Range { dimension: 1 };
    assert_eq!(refusal(&vector, Action::Continuous(&[0.0, 5.0])), outside);
    assert_eq!(refusal(&vector, Action::Continuous(&[1.0, -1.5])), outside);
    let edge = Action::Continuous(&[-1.0, 1.0]);
    assert!(
        Guarded::new(Image::new_checked(vector.bytes()), edge)
            .policy()
            .is_ok()
    );
    // Not comparable with itself, so without the helper.
    let guarded = Guarded::new(
        Image::new_checked(vector.bytes()),
        Action::Continuous(&[0.0, f32::NAN]),
    );
    assert_eq!(
        guarded.policy().map(|_| ()).unwrap_err(),
        Fault::Safe(SafeError::NonFinite { dimension: 1 })
    );
}

#[test]
fn steps_at_another_rate_are_seen() {
    let bytes = emit(&EXAMPLE);
    let image = Image::new_checked(bytes.bytes()).unwrap();
    // 20 ms within 10 %.
    let mut pace = Pace::of(&image, 100);
    let off = |measured_us| {
        Err(OffPace {
            measured_us,
            period_us: 20_000,
        })
    };
    let mut now = u32::MAX - 5_000;
    assert_eq!(pace.tick(now), Ok(()), "the first");
    for (after, result) in [
        (20_000, Ok(())),
        (18_000, Ok(())),
        (22_000, Ok(())),
        (17_999, off(17_999)),
        (22_001, off(22_001)),
        (0, off(0)),
        (10_000, off(10_000)),
        (20_000, Ok(())),
    ] {
        now = now.wrapping_add(after);
        assert_eq!(pace.tick(now), result);
    }
    pace.restart();
    assert_eq!(pace.tick(now.wrapping_add(1_000_000)), Ok(()));
    // A task without a period has no rate to miss.
    let mut any = Pace::new(0, 0);
    assert_eq!([any.tick(0), any.tick(1)], [Ok(()); 2]);
    // The widest tolerance there is does not wrap.
    let mut wide = Pace::new(u32::MAX, u16::MAX);
    assert_eq!([wide.tick(0), wide.tick(0)], [Ok(()); 2]);
}

/// A "signature" that only tests make: the first 64 bytes of the message, in reverse.
fn mirror(message: &[u8]) -> [u8; 64] {
    let mut signature = [0; 64];
    signature.iter_mut().zip(message).for_each(|(s, &m)| *s = m);
    signature.reverse();
    signature
}

fn check_mirror(message: &[u8], signature: &[u8; 64]) -> bool {
    mirror(message) == *signature
}

fn emit_signed(repr: &ImageRepr<'_>, sign: impl FnOnce(&[u8]) -> [u8; 64]) -> Aligned {
    let mut buffer = vec![0; repr.emitted_len().unwrap() + 64];
    assert_eq!(repr.emit_signed(&mut buffer, sign), Ok(buffer.len()));
    Aligned::copy(&buffer, 0)
}

#[test]
fn only_images_whose_signature_fits_are_accepted() {
    let mut verifier = check_mirror;
    let signed = emit_signed(&EXAMPLE, mirror);
    let image = Image::new_verified(signed.bytes(), &mut verifier).unwrap();
    assert_eq!(image.agent(), 1);
    let mut asked = Vec::new();
    let mut spy = |message: &[u8], signature: &[u8; 64]| {
        asked.push((message.to_vec(), *signature));
        true
    };
    Image::new_verified(signed.bytes(), &mut spy).unwrap();
    let covered = signed.bytes()[..100].to_vec();
    assert_eq!(asked, [(covered.clone(), mirror(&covered))]);

    let refusal = |bytes: &Aligned| {
        Image::new_verified(bytes.bytes(), &mut check_mirror)
            .map(|_| ())
            .unwrap_err()
    };
    assert_eq!(refusal(&emit(&EXAMPLE)), VerifyError::Unsigned);
    let foreign = emit_signed(&EXAMPLE, |_| [7; 64]);
    assert_eq!(refusal(&foreign), VerifyError::Signature);
    // A forger can compute a CRC: the signature is asked before the header is believed.
    let mut forged = Aligned::copy(signed.bytes(), 0);
    forged.bytes_mut()[16..40].fill(0xff);
    seal(forged.bytes_mut());
    assert_eq!(refusal(&forged), VerifyError::Signature);
    // An accident is named as what it is.
    let mut damaged = Aligned::copy(signed.bytes(), 0);
    damaged.bytes_mut()[70] ^= 1;
    assert!(matches!(
        refusal(&damaged),
        VerifyError::Image(ImageError::Checksum { .. })
    ));
}

#[test]
fn an_image_issued_anew_differs_in_revision_and_signature_alone() {
    for repr in [EXAMPLE, RECURRENT] {
        // Varints of 1, 1, 2 and 5 bytes: the padding of 13 or 14 zeros gives way.
        for revision in [0, 127, 128, u32::MAX] {
            let bytes = emit(&repr);
            let mut buffer = vec![0; bytes.bytes().len() + 80];
            let len = reissue_signed(bytes.bytes(), revision, &mut buffer, mirror).unwrap();
            // What the emitter makes of the same policy with that revision.
            let expected = emit_signed(&ImageRepr { revision, ..repr }, mirror);
            assert_eq!(&buffer[..len], expected.bytes());
            assert_eq!(len, bytes.bytes().len() + 64);

            // Signed once more: the old signature is gone.
            let again = Aligned::copy(&buffer[..len], 0);
            let mut buffer = vec![0; len];
            assert_eq!(
                reissue_signed(again.bytes(), 7, &mut buffer, mirror),
                Ok(len)
            );
            assert_eq!(buffer, emit_signed(&repr, mirror).bytes());
        }
    }
    let bytes = emit(&EXAMPLE);
    let mut short = [0; 167];
    let error = EmitError::Buffer {
        expected: 168,
        found: 167,
    };
    assert_eq!(
        reissue_signed(bytes.bytes(), 1, &mut short, mirror),
        Err(error)
    );
    assert_eq!(short, [0; 167]);
    let error = reissue_signed(&bytes.bytes()[..50], 1, &mut short, mirror).unwrap_err();
    assert!(matches!(
        error,
        EmitError::Image(ImageError::Truncated { .. })
    ));
}

#[test]
fn guarded_policies_accept_signed_images() {
    let signed = emit_signed(&EXAMPLE, mirror);
    let guarded = Guarded::new(
        Image::new_verified(signed.bytes(), &mut check_mirror),
        BRAKE,
    );
    let mut memory = [0.0; 4];
    let acted = guarded.step(&[1.0, 0.25], &mut memory);
    assert_eq!((acted.action, acted.fault), (Action::Discrete(2), None));
    let unsigned = emit(&EXAMPLE);
    let image = Image::new_verified(unsigned.bytes(), &mut check_mirror);
    let acted_on = Guarded::new(image, BRAKE);
    assert_eq!(
        acted_on.step(&[1.0, 0.25], &mut memory),
        safe(BRAKE, VerifyError::Unsigned)
    );
    // The unguarded way refuses just so.
    assert!(image.map(Policy::new).is_err());
}

#[cfg(feature = "ed25519")]
mod ed25519 {
    use super::*;
    use consort_runtime::{Ed25519, Verifier};

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        let digits: Vec<u8> = text
            .bytes()
            .filter(|digit| !digit.is_ascii_whitespace())
            .collect();
        let mut bytes = [0; N];
        assert_eq!(digits.len(), 2 * N);
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        }
        bytes
    }

    /// RFC 8032, section 7.1, tests 1 to 3: secret key, public key, message, signature.
    const VECTORS: [(&str, &str, &[u8], &str); 3] = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            &[],
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            &[0x72],
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            &[0xaf, 0x82],
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ];

    #[test]
    fn the_published_vectors_verify_and_their_neighbours_do_not() {
        for (_, public, message, signature) in VECTORS {
            let (public, signature) = (hex(public), hex(signature));
            assert!(Ed25519::new(public).verify(message, &signature));
            assert!(!Ed25519::new(public).verify(b"another message", &signature));
            for bit in 0..512 {
                let mut wrong = signature;
                wrong[bit / 8] ^= 1 << (bit % 8);
                assert!(!Ed25519::new(public).verify(message, &wrong), "bit {bit}");
            }
            for bit in 0..256 {
                let mut wrong = public;
                wrong[bit / 8] ^= 1 << (bit % 8);
                assert!(!Ed25519::new(wrong).verify(message, &signature));
            }
        }
    }

    /// A key of small order would let one signature fit every message.
    #[test]
    fn keys_of_small_order_verify_nothing() {
        let mut identity = [0; 32];
        identity[0] = 1;
        // With A the identity, R the identity and S = 0, S B = R + h A whatever h is.
        let mut signature = [0; 64];
        signature[0] = 1;
        for key in [identity, [0; 32]] {
            assert!(!Ed25519::new(key).verify(b"anything", &signature));
        }
    }

    #[test]
    fn no_bit_of_a_signed_image_can_be_changed() {
        let (secret, public, ..) = VECTORS[0];
        let pair = ed25519_compact::KeyPair::from_seed(hex(secret).into());
        assert_eq!(*pair.pk, hex(public));
        let signed = emit_signed(&EXAMPLE, |message| *pair.sk.sign(message, None));
        let mut verifier = Ed25519::new(hex(public));
        assert!(Image::new_verified(signed.bytes(), &mut verifier).is_ok());
        let mut other = Ed25519::new(hex(VECTORS[1].1));
        let refused = Image::new_verified(signed.bytes(), &mut other).map(|_| ());
        assert_eq!(refused, Err(VerifyError::Signature));
        for bit in 0..8 * (signed.bytes().len() - 4) {
            let mut forged = Aligned::copy(signed.bytes(), 0);
            forged.bytes_mut()[bit / 8] ^= 1 << (bit % 8);
            seal(forged.bytes_mut());
            assert!(Image::new_verified(forged.bytes(), &mut verifier).is_err());
        }
    }
}
