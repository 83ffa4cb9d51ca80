//! The `consort` command from outside: exit codes, messages, JSON, folders, kills.

mod answers;
mod compare;
mod errors;
mod hil;
mod place;
mod precision;
mod resume;
mod team;
mod train;
