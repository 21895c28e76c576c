//! How the programs are linked, where that cannot be said in Cargo.toml.

use std::env::var;
use std::path::Path;
use std::process::{Command, Stdio};

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
        order();
    }
}

/// Cold code goes behind hot code (the script says why): 240 KiB less resident memory at the start.
///
/// The linker gets a copy in the build folder: cargo knows where that is even when it has been moved or restored elsewhere.
fn order() {
    println!("cargo::rerun-if-changed=scripts/order.ld");
    let (Ok(folder), Ok(profile)) = (var("OUT_DIR"), var("PROFILE")) else { return };
    let script = Path::new(&folder).join("order.ld");
    if profile != "release" || std::fs::write(&script, include_str!("order.ld")).is_err() {
        return;
    }
    let argument = format!("-Wl,-T,{}", script.display());
    if links(&argument) {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}

/// Whether the linker of this build takes `argument`: LLVM's and GNU's read such a script, mold does not.
fn links(argument: &str) -> bool {
    let (Ok(rustc), Ok(target), Ok(folder)) = (var("RUSTC"), var("TARGET"), var("OUT_DIR")) else { return false };
    let source = Path::new(&folder).join("probe.rs");
    if std::fs::write(&source, "fn main() {}").is_err() {
        return false;
    }
    let mut probe = Command::new(rustc);
    probe.arg(&source).arg("-o").arg(source.with_extension("out")).args(["--target", &target, "-C"]);
    probe.arg(format!("link-arg={argument}"));
    probe.args(var("RUSTC_LINKER").ok().map(|linker| format!("-Clinker={linker}")));
    let flags = var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    probe.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    let quiet = probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
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
