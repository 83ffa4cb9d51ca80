//! The `consort` command from outside: exit codes, messages, JSON, folders, kills.

mod answers;
mod errors;
mod hil;
mod place;
mod resume;
mod team;
mod train;
