//! Runs one agent's policy image.
#![no_std]
