//! PORT, PASV, EPRT and EPSV: what is written is read back, what is read may be anything.

#![no_main]

use std::net::{IpAddr, SocketAddr, SocketAddrV4};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use miniftp::wire::address::{
    FIRST_UNPRIVILEGED_PORT, epsv_text, eprt_argument, may_dial, parse_epsv_text, parse_eprt, parse_pasv_text,
    parse_port, pasv_text, port_argument,
};

#[derive(Arbitrary, Debug)]
struct Words<'a> {
    text: &'a [u8],
    before: &'a [u8],
    behind: &'a [u8],
    address: SocketAddr,
    peer: IpAddr,
}

fuzz_target!(|words: Words<'_>| {
    read(words.text, words.peer);
    written(&words);
});

fn read(text: &[u8], peer: IpAddr) {
    if let Some(address) = parse_port(text) {
        assert_ne!(address.port(), 0);
        assert_eq!(parse_port(port_argument(address).as_bytes()), Some(address));
        dialled(address.into(), peer);
    }
    if let Ok(address) = parse_eprt(text) {
        assert_ne!(address.port(), 0);
        assert_eq!(parse_eprt(eprt_argument(address).as_bytes()), Ok(address));
        dialled(address, peer);
    }
    assert!(parse_pasv_text(text).is_none_or(|address| address.port() != 0));
    assert_ne!(parse_epsv_text(text), Some(0));
}

/// Never another host than the peer, never another service's port.
fn dialled(target: SocketAddr, peer: IpAddr) {
    if may_dial(target, peer) {
        assert_eq!(target.ip().to_canonical(), peer.to_canonical());
        assert!(target.port() >= FIRST_UNPRIVILEGED_PORT);
    }
}

fn written(words: &Words<'_>) {
    let port = words.address.port();
    if port == 0 {
        return;
    }
    assert_eq!(parse_epsv_text(epsv_text(port).as_bytes()), Some(port));
    if let SocketAddr::V4(address) = words.address {
        pasv(address);
        let noisy = [words.before, pasv_text(address).as_bytes(), words.behind].concat();
        parse_pasv_text(&noisy);
    }
    // Neither scope nor flow survives, by intention.
    let (host, argument) = (words.address.ip().to_canonical(), eprt_argument(words.address));
    assert_eq!(parse_eprt(argument.as_bytes()), Ok(SocketAddr::new(host, port)));
}

fn pasv(address: SocketAddrV4) {
    assert_eq!(parse_pasv_text(pasv_text(address).as_bytes()), Some(address));
    assert_eq!(parse_port(port_argument(address).as_bytes()), Some(address));
}
