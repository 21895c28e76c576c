//! How the programs are linked, where that cannot be said in Cargo.toml.

use std::env::var;
use std::process::Command;

/// The first glibc whose dynamic linker reads packed relocations. A program that has them does not start on an older one.
const READS_PACKED: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=scripts/link.rs");
    if var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // What is never run but in trouble (panics, chiefly) goes to pages of its own, which then stay on the disk: some
        // 50 KiB less resident memory. Linkers that do not know the option ignore it.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,keep-text-section-prefix");
        if glibc().is_some_and(|version| version >= READS_PACKED) {
            // Relocations by the bit, not by 24 octets each: 44 KB.
            println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
    }
}

/// The C library the programs will run on, as far as that is this machine's own.
fn glibc() -> Option<(u32, u32)> {
    if var("CARGO_CFG_TARGET_ENV").ok()? != "gnu" || var("HOST").ok()? != var("TARGET").ok()? {
        return None;
    }
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?.stdout;
    let text = String::from_utf8(said).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
