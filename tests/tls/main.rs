//! FTPS (RFC 4217) against a client of our own, in both versions of TLS.
#![cfg(feature = "tls")]

#[path = "../common/mod.rs"]
mod common;

mod client;
mod hostile;
mod telling;

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;

use client::{Client, Pair, VERSIONS, dress, receive, send};
use common::{Server, accept, noise};
use rustix::process::Signal;

/// Sizes that clients and records stumble over.
const SIZES: [usize; 5] = [0, 1, 16_384, 100_000, 3_000_000];

#[test]
fn files_go_both_ways_passive_and_active() {
    let pair = Pair::new();
    for version in VERSIONS {
        for reuse in ["off", "log", "require"] {
            let server = pair.server(&format!("reuse = \"{reuse}\""), "");
            let mut ftp = Client::private(&server, pair.client(version));
            for size in SIZES {
                // In TLS 1.3 rustls uses each ticket once, and an upload brings no new one.
                ftp = Client::private(&server, pair.client(version));
                let bytes = noise(size);
                ftp.store("STOR up.bin", &bytes);
                assert!(server.get("up.bin") == bytes, "{size} bytes up");
                let (got, resumed) = ftp.fetch("RETR up.bin");
                assert!(got == bytes, "{size} bytes down");
                assert_eq!(resumed, reuse != "off", "reuse = {reuse}, {version:?}");
            }
            let listener = active(&mut ftp);
            ftp.say("RETR up.bin", 150);
            assert!(receive(&ftp.config, accept(&listener)).0 == server.get("up.bin"), "active");
            ftp.expect(226);
            let listener = active(&mut ftp);
            ftp.say("APPE up.bin", 150);
            send(&ftp.config, accept(&listener), b"tail");
            ftp.expect(226);
            assert!(server.get("up.bin").ends_with(b"tail"));
            let (listing, _) = ftp.fetch("LIST");
            assert!(String::from_utf8(listing).unwrap().contains("up.bin"));
            ftp.say("QUIT", 221);
        }
    }
}

fn active(ftp: &mut Client) -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let [high, low] = listener.local_addr().unwrap().port().to_be_bytes();
    ftp.say(&format!("PORT 127,0,0,1,{high},{low}"), 200);
    listener
}

#[test]
fn features_are_told_where_they_are_there() {
    let pair = Pair::new();
    let server = pair.server("", "");
    let mut ftp = Client::new(&server, pair.client(VERSIONS[1]));
    let text = ftp.say("FEAT", 211);
    for label in [" AUTH TLS\n", " PBSZ\n", " PROT\n"] {
        assert!(text.contains(label), "{text}");
    }
    let plain = Server::full();
    let mut ftp = plain.connect();
    assert!(!ftp.say("FEAT").expect(211).text().contains("AUTH"));
    ftp.say("AUTH TLS").expect(502);
}

#[test]
fn stat_and_abor_act_inside_tls_during_a_transfer() {
    let pair = Pair::new();
    let server = pair.server("", "");
    server.put("big", vec![7; 64 << 20]);
    for version in VERSIONS {
        let mut ftp = Client::private(&server, pair.client(version));
        let data = ftp.data();
        ftp.say("RETR big", 150);
        let held = dress(&ftp.config, data).unwrap();
        ftp.say("STAT", 213);
        ftp.send(b"ABOR\r\n");
        ftp.expect(426);
        ftp.expect(226);
        drop(held);
        ftp.say("NOOP", 200);
    }
}

#[test]
fn compressed_transfers_go_inside_tls() {
    let pair = Pair::new();
    let server = pair.server("", "[limits]\ncompressed = 4");
    let text = "a line that repeats itself\n".repeat(20_000);
    server.put("text", &text);
    let mut ftp = Client::private(&server, pair.client(VERSIONS[1]));
    ftp.say("MODE Z", 200);
    let (small, _) = ftp.fetch("RETR text");
    assert!(small.len() < text.len() / 10);
    ftp.store("STOR copy", &small);
    assert_eq!(server.get("copy"), text.as_bytes());
}

#[test]
fn a16_policy_refuses_the_clear() {
    let pair = Pair::new();
    let server = pair.server("require = \"login\"", "");
    let mut ftp = Client::new(&server, pair.client(VERSIONS[1]));
    ftp.say("USER anonymous", 534);
    ftp.say("PASS x", 530);
    ftp.say("STAT", 530);
    ftp.say("FEAT", 211);
    ftp.auth();
    ftp.log_in();
    let data = ftp.data();
    ftp.say("LIST", 150);
    assert!(common::read_all(data).is_empty(), "PROT C is still allowed");
    ftp.expect(226);
    // It counts as a failed login, of which there are three.
    let mut deaf = Client::new(&server, pair.client(VERSIONS[1]));
    deaf.say("USER anonymous", 534);
    deaf.say("USER anonymous", 534);
    deaf.say("USER anonymous", 421);
    deaf.expect_close();
}

#[test]
fn a_client_certificate_stands_for_the_password() {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(params, authority_key);
    let pair = Pair::new();
    let text = "[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\nclient_ca = \"ca.pem\"\nclient_login = true\n";
    let accounts =
        format!("[[account]]\nname = \"ann\"\npassword = \"{}\"\npermissions = \"full\"\n", common::SECRET_HASH);
    let ca_pem = client::pem("CERTIFICATE", authority.der());
    let files = [
        ("cert.pem", pair.chain_pem.as_str()),
        ("key.pem", pair.key_pem.as_str()),
        ("ca.pem", ca_pem.as_str()),
        ("accounts.toml", accounts.as_str()),
    ];
    let server = Server::launch("127.0.0.1:0", text, &files, |command| command);
    for version in VERSIONS {
        let with = |(certificate, key)| {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(pair.certificate.clone()).unwrap();
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_root_certificates(roots)
                .with_client_auth_cert(vec![certificate], key)
                .unwrap()
        };
        let mut ann = Client::new(&server, with(client::signed("ann", &issuer)));
        ann.auth();
        ann.say("USER ann", 232);
        ann.say("PASS whatever", 202);
        ann.say("PWD", 257);
        let mut bob = Client::new(&server, with(client::signed("bob", &issuer)));
        bob.auth();
        bob.say("USER ann", 331);
        bob.say("PASS secret", 230);
        let mut nobody = Client::new(&server, pair.client(version));
        nobody.say("AUTH TLS", 234);
        let met = nobody.dress();
        if met.is_ok() {
            // In TLS 1.3 the client is through before the server has looked.
            nobody.expect_alert();
        }
    }
}

#[test]
fn t18_a_new_certificate_is_taken_up_and_a_broken_one_is_not() {
    let (old, new) = (Pair::new(), Pair::new());
    renew(&old.server("", ""), &old, &new);
}

#[test]
fn t18_the_keeper_hands_a_new_certificate_down() {
    let (old, new) = (Pair::new(), Pair::new());
    let accounts = format!("[[account]]\nname = \"ann\"\npassword = \"{}\"\n", common::SECRET_HASH);
    let text =
        "[anonymous]\nenabled = true\npermissions = \"full\"\n[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n";
    let files =
        [("cert.pem", old.chain_pem.as_str()), ("key.pem", old.key_pem.as_str()), ("accounts.toml", accounts.as_str())];
    let server = Server::launch("127.0.0.1:0", text, &files, |command| command);
    renew(&server, &old, &new);
}

fn renew(server: &Server, old: &Pair, new: &Pair) {
    let folder = server.config().parent().unwrap().to_owned();
    let mut before = Client::private(server, old.client(VERSIONS[1]));
    std::fs::write(folder.join("cert.pem"), &new.chain_pem).unwrap();
    server.signal(Signal::HUP);
    server.wait_for("reload refused");
    // The key does not belong to it: the old pair stays.
    let mut ftp = Client::private(server, old.client(VERSIONS[1]));
    ftp.say("NOOP", 200);
    std::fs::write(folder.join("key.pem"), &new.key_pem).unwrap();
    server.signal(Signal::HUP);
    server.wait_for("reloaded");
    let mut ftp = Client::private(server, new.client(VERSIONS[1]));
    ftp.say("NOOP", 200);
    let mut stranger = Client::new(server, old.client(VERSIONS[1]));
    stranger.say("AUTH TLS", 234);
    stranger.dress().expect_err("the old certificate is gone");
    // Whoever was there before goes on, with the certificate that it knows on its data connections too.
    before.store("STOR f", b"x");
    assert_eq!(before.fetch("RETR f").0, b"x");
}

#[test]
fn certificates_are_tried_before_anything_is_served() {
    let pair = Pair::new();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("cert.pem"), &pair.chain_pem).unwrap();
    std::fs::write(path("key.pem"), &pair.key_pem).unwrap();
    std::fs::write(path("other.pem"), Pair::new().key_pem).unwrap();
    std::fs::write(path("none.pem"), "").unwrap();
    let check = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_miniftpd"));
        let dir = folder.path();
        command.args(["--check", "-l", "127.0.0.1:0"]).args(arguments).arg(dir).output().unwrap()
    };
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let good = check(&["--tls-cert", &cert, "--tls-key", &key]);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    assert!(String::from_utf8(good.stdout).unwrap().contains("certificate and key fit, sha256 "));
    for bad in [
        &["--tls-cert", &cert, "--tls-key", &path("other.pem")][..],
        &["--tls-cert", &path("none.pem"), "--tls-key", &key],
        &["--tls-cert", &cert],
        &["--tls-require", "login"],
        &["--implicit", "127.0.0.1:0"],
    ] {
        assert_eq!(check(bad).status.code(), Some(2), "{bad:?}");
    }
}

#[test]
fn a_certificate_of_our_own_is_told_by_its_fingerprint() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_miniftpd"));
    command.args(["--tls-self-signed", "-l", "127.0.0.1:0"]).arg(folder.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let digits = line.trim_end().strip_prefix("sha256 ").expect("sha256 HEX");
    assert!(digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}");
}

#[test]
fn an_early_hello_is_kept() {
    // Some clients do not wait for the 234.
    let pair = Pair::new();
    let server = pair.server("", "");
    for version in VERSIONS {
        let mut ftp = Client::new(&server, pair.client(version));
        let mut connection =
            rustls::ClientConnection::new(Arc::clone(&ftp.config), "localhost".try_into().unwrap()).unwrap();
        let mut bytes = b"AUTH TLS\r\n".to_vec();
        connection.write_tls(&mut bytes).unwrap();
        ftp.send(&bytes);
        let mut socket = ftp.socket().try_clone().unwrap();
        // Octet by octet: the server's part of the handshake may be right behind it.
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let mut octet = [0];
            std::io::Read::read_exact(&mut socket, &mut octet).unwrap();
            line.push(octet[0]);
        }
        assert!(line.starts_with(b"234 "), "{}", line.escape_ascii());
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).unwrap();
        }
        let mut stream = rustls::Stream::new(&mut connection, &mut socket);
        stream.write_all(b"NOOP\r\n").unwrap();
        let mut reply = [0; 4];
        std::io::Read::read_exact(&mut stream, &mut reply).unwrap();
        assert_eq!(&reply, b"200 ");
    }
}
