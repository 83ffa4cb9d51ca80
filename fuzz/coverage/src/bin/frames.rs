#![no_main]

consort_fuzz_coverage::drive!("frames");
