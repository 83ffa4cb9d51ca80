//! `consort.h` says what the library does: sizes, places and numbers, by a C compiler and a C++ compiler.

use std::fmt::Write;
use std::mem::{align_of, offset_of, size_of};
use std::path::Path;
use std::process::Command;

use consort_c::{
    CLOCK_WORDS, ConsortAdmission, ConsortBoot, ConsortClock, ConsortFlash, ConsortInfo,
    ConsortMoment, ConsortPace, ConsortPolicy, ConsortSlots, KEY_LEN, POLICY_WORDS, SLOTS_WORDS,
    STATUSES,
};

/// One assertion a fact that the header and the library must agree on.
fn assertions() -> String {
    let mut facts = vec![
        ("CONSORT_POLICY_WORDS".to_owned(), POLICY_WORDS),
        ("sizeof(consort_status_t)".to_owned(), size_of::<i32>()),
        (
            "sizeof(consort_policy_t)".to_owned(),
            size_of::<ConsortPolicy>(),
        ),
        (
            "ALIGNOF(consort_policy_t)".to_owned(),
            align_of::<ConsortPolicy>(),
        ),
        (
            "sizeof(consort_pace_t)".to_owned(),
            size_of::<ConsortPace>(),
        ),
        ("sizeof(bool)".to_owned(), size_of::<bool>()),
        ("CONSORT_KEY_LEN".to_owned(), KEY_LEN),
        ("CONSORT_CLOCK_WORDS".to_owned(), CLOCK_WORDS),
        (
            "sizeof(consort_clock_t)".to_owned(),
            size_of::<ConsortClock>(),
        ),
        (
            "ALIGNOF(consort_clock_t)".to_owned(),
            align_of::<ConsortClock>(),
        ),
        (
            "sizeof(consort_moment_t)".to_owned(),
            size_of::<ConsortMoment>(),
        ),
        (
            "offsetof(consort_moment_t, tick)".to_owned(),
            offset_of!(ConsortMoment, tick),
        ),
        ("CONSORT_SLOTS_WORDS".to_owned(), SLOTS_WORDS),
        (
            "sizeof(consort_slots_t)".to_owned(),
            size_of::<ConsortSlots>(),
        ),
        (
            "ALIGNOF(consort_slots_t)".to_owned(),
            align_of::<ConsortSlots>(),
        ),
    ];
    macro_rules! offsets {
        ($type:ty as $name:literal: $($field:ident),+) => {
            facts.push((format!("sizeof({})", $name), size_of::<$type>()));
            $(facts.push((format!("offsetof({}, {})", $name, stringify!($field)), offset_of!($type, $field)));)+
        };
    }
    offsets!(ConsortFlash as "consort_flash_t": context, view, write, erase, base, slot_len, erase_size, read);
    offsets!(ConsortAdmission as "consort_admission_t": verify, verify_context, context, suits, least, advance);
    offsets!(
        ConsortBoot as "consort_boot_t":
        image,
        image_len,
        revision,
        slot,
        confirmed,
        trials_left,
        counter_behind
    );
    offsets!(
        ConsortInfo as "consort_info_t":
        team,
        agent,
        agents,
        revision,
        period_us,
        observation_len,
        output_len,
        memory_len,
        state_len,
        continuous,
        groups,
        symbols,
        symbol_per,
        has_signature
    );
    for (name, value, _) in STATUSES {
        facts.push(((*name).to_owned(), *value as usize));
    }
    let mut text = String::from(
        "#include \"consort.h\"\n#include <stddef.h>\n\
         #define ALIGNOF(type) offsetof(struct { char first; type second; }, second)\n",
    );
    for (fact, value) in facts {
        writeln!(
            text,
            "typedef char fact_{}[({fact}) == {value} ? 1 : -1];",
            text.lines().count()
        )
        .unwrap();
    }
    text
}

fn compile(compiler: &str, options: &[&str], extension: &str, text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join(format!("facts.{extension}"));
    std::fs::write(&source, text).unwrap();
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let output = Command::new(compiler)
        .args(options)
        .args([
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wno-unused-local-typedefs",
            "-fsyntax-only",
            "-I",
        ])
        .arg(include)
        .arg(&source)
        .output()
        .unwrap_or_else(|error| {
            panic!("{compiler}: {error}; Rust links by a C compiler, so there should be one")
        });
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_c_compiler_agrees() {
    compile("cc", &["-std=c99", "-pedantic"], "c", &assertions());
}

#[test]
fn a_wrong_fact_would_be_noticed() {
    let wrong = assertions().replacen("(CONSORT_ERR_NULL) == 1", "(CONSORT_ERR_NULL) == 2", 1);
    assert_ne!(wrong, assertions());
    let failed = std::panic::catch_unwind(|| compile("cc", &["-std=c99"], "c", &wrong));
    assert!(failed.is_err());
}

/// Every status that the header names is one of the library's, and every function it declares too.
#[test]
fn nothing_is_declared_that_there_is_not() {
    let read = |path: &str| {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
    };
    let header = read("include/consort.h");
    let named = header
        .lines()
        .filter_map(|line| line.strip_prefix("#define CONSORT_"));
    let named: Vec<&str> = named
        .filter_map(|line| line.split(' ').next())
        .filter(|name| *name == "OK" || name.starts_with("ERR_"))
        .collect();
    let known: Vec<&str> = STATUSES
        .iter()
        .map(|(name, ..)| &name["CONSORT_".len()..])
        .collect();
    assert_eq!(named, known);

    let sources: String = [
        "act", "choose", "pace", "policy", "seed", "slots", "status", "verify",
    ]
    .map(|module| read(&format!("src/{module}.rs")))
    .concat();
    let mut defined: Vec<&str> = sources
        .split("extern \"C\" fn ")
        .skip(1)
        .filter_map(|rest| rest.split('(').next())
        .filter(|name| name.starts_with("consort_"))
        .collect();
    let code = header
        .split("*/")
        .filter_map(|part| part.split("/*").next());
    let mut declared: Vec<String> = code
        .flat_map(|part| part.split(['\n', ' ', '*']))
        .filter_map(|word| word.split_once('(').map(|(name, _)| name.to_owned()))
        // Not the types of functions, whose name ends in a parenthesis.
        .filter(|name| name.starts_with("consort_") && !name.ends_with(')'))
        .collect();
    defined.sort_unstable();
    declared.sort_unstable();
    assert_eq!(declared, defined);
}
