//! Says which instructions the target has where the compiler does not: `dsp` is no stable target feature.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(dsp)");
    println!("cargo::rerun-if-changed=build.rs");
    // Armv7E-M is Armv7-M with the DSP extension. Armv8-M cores may lack it, and their target does not tell.
    if std::env::var("TARGET").is_ok_and(|target| target.starts_with("thumbv7em-none-")) {
        println!("cargo::rustc-cfg=dsp");
    }
}
