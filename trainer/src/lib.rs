//! Learns a joint policy for a team and anneals it into one marginal network per agent.

pub mod algo;
pub mod atomic;
pub mod checkpoint;
pub mod compare;
pub mod config;
pub mod env;
pub mod error;
pub mod eval;
pub mod export;
pub mod flash;
pub mod hil;
pub mod job;
pub mod keys;
pub mod net;
pub mod quantise;
pub mod report;
pub mod returns;
pub mod rng;
pub mod rollout;
pub mod run;
pub mod run_folder;
pub mod schedule;
pub mod select;
pub mod target;
pub mod team;
pub mod train;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
