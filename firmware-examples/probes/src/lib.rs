//! What a core lets a board measure: the depth of the stack, and on a Cortex-M the ticks of its own timer.

#![no_std]

#[cfg(any(target_arch = "arm", target_arch = "riscv32", target_arch = "x86_64"))]
mod stack;
#[cfg(target_arch = "arm")]
mod systick;

#[cfg(any(target_arch = "arm", target_arch = "riscv32", target_arch = "x86_64"))]
pub use stack::Painted;
#[cfg(target_arch = "arm")]
pub use systick::SysTick;
