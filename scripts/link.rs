//! How the programs are linked, where that cannot be said in Cargo.toml.

fn main() {
    println!("cargo::rerun-if-changed=scripts/link.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // What is never run but in trouble (panics, chiefly) goes to pages of its own, which then stay on the disk: some
        // 50 KiB less resident memory. Linkers that do not know the option ignore it.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,keep-text-section-prefix");
    }
}
