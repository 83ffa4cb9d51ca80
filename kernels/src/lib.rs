//! Consort's layers and activations in assembly, where a core has a faster way to the same bits.
//!
//! `consort-runtime` computes in portable, safe Rust and calls this crate only when its feature
//! `kernels` is on and the target has what a module needs:
//!
//! | module | target | what it uses |
//! |---|---|---|
//! | `float` | Arm, bare metal, hard float: Cortex-M4F, M7, M33 … | `VLDM`, which loads many weights in one instruction, and registers that no compiler would give it |
//! | `int8` | Armv7E-M: Cortex-M4, M4F, M7 | `SMLAD`, two multiply-adds in one instruction, and `LDM` |
//!
//! On any other target the crate does nothing. Every function takes and gives slices, is safe to call
//! with any of them, and has a twin in `consort_runtime` that it equals bit for bit (NaN for NaN:
//! which one is not specified); the firmware examples compare the two in the emulator.
//!
//! The only `unsafe` there is are the `asm!` blocks. Each says which memory it reads and writes and
//! why that is what the slices hold.
#![no_std]
#![allow(
    unsafe_code,
    reason = "assembly: the purpose of this crate, so that no other needs it"
)]

#[cfg(all(target_arch = "arm", target_os = "none", target_abi = "eabihf"))]
pub mod float;
pub mod int8;
