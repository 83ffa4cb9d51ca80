#![no_main]

consort_fuzz_coverage::drive!("step");
