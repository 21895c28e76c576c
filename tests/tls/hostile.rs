//! What TLS must withstand: the cases T01 to T19.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::client::{Client, Pair, VERSIONS, dress, receive};
use crate::common::{Server, connect, is_closed, noise, read_all};

/// close_notify without its record: what ends a stream of TLS.
const CLEAR_CLOSE_NOTIFY: [u8; 7] = [21, 3, 3, 0, 2, 1, 0];

/// How often of a hundred looks, one each hundredth of a second, a process is found at work or wanting to be.
fn busy(server: &Server) -> usize {
    let looks = (0..100).filter(|_| {
        poll(&mut [], Some(&Timespec { tv_sec: 0, tv_nsec: 10_000_000 })).unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid().as_raw_nonzero())).unwrap();
        !stat.rsplit(") ").next().unwrap().starts_with('S')
    });
    looks.count()
}

#[test]
fn t01_what_came_in_the_clear_behind_auth_is_never_run() {
    let pair = Pair::new();
    let server = pair.server("", "");
    for version in VERSIONS {
        let mut ftp = Client::new(&server, pair.client(version));
        ftp.send(b"AUTH TLS\r\nUSER anonymous\r\nPASS evil@\r\nMKD evil\r\n");
        ftp.expect(234);
        ftp.dress().unwrap();
        // Nothing waits, nobody is in, and nothing was made.
        ftp.say("PASS x", 503);
        ftp.say("PWD", 530);
        assert!(!server.has("evil"));
    }
}

#[test]
fn t02_there_is_one_layer_of_tls() {
    let pair = Pair::new();
    let server = pair.server("", "");
    let mut ftp = Client::new(&server, pair.client(VERSIONS[1]));
    ftp.auth();
    ftp.say("AUTH TLS", 534);
    ftp.say("NOOP", 200);
    let (server, address) = implicit(&pair, "");
    let mut ftp = Client::silent(address, pair.client(VERSIONS[1]));
    ftp.dress().unwrap();
    ftp.expect(220);
    ftp.say("AUTH TLS", 534);
    drop(server);
}

#[test]
fn t03_auth_forgets_who_was_in_and_what_was_set_up() {
    let pair = Pair::new();
    let server = pair.server("", "");
    server.put("f", "hello");
    server.put("d/x", "");
    let mut ftp = Client::new(&server, pair.client(VERSIONS[1]));
    ftp.log_in();
    ftp.say("CWD d", 250);
    ftp.say("REST 3", 350);
    let text = ftp.say("EPSV", 229);
    let port: u16 = text.split('|').nth(3).unwrap().parse().unwrap();
    ftp.auth();
    // Before USER, which would forget all that as well.
    let mut old = connect(SocketAddr::new(server.address().ip(), port));
    assert!(is_closed(&mut old), "the promise died with AUTH");
    ftp.say("PWD", 530);
    ftp.say("PROT P", 503);
    ftp.say("USER anonymous", 331);
    ftp.say("PASS x", 230);
    assert!(ftp.say("PWD", 257).contains("\"/\""));
    ftp.say("RETR f", 425);
    ftp.protect();
    assert_eq!(ftp.fetch("RETR f").0, b"hello", "the marker is gone");
}

#[test]
fn t04_pbsz_and_prot_have_their_order() {
    let pair = Pair::new();
    let server = pair.server("", "");
    let mut ftp = Client::new(&server, pair.client(VERSIONS[1]));
    ftp.say("PBSZ 0", 503);
    ftp.say("PROT P", 503);
    ftp.say("AUTH KERBEROS", 504);
    ftp.auth();
    ftp.say("PROT P", 503);
    ftp.say("PBSZ 4294967296", 501);
    assert!(ftp.say("PBSZ 4294967295", 200).contains("PBSZ=0"));
    ftp.say("PROT S", 536);
    ftp.say("PROT E", 536);
    ftp.say("PROT X", 504);
    ftp.say("PROT C", 200);
    ftp.say("PROT P", 200);
}

#[test]
fn t05_a_transfer_in_the_clear_is_refused_where_it_must_be_private() {
    let pair = Pair::new();
    let server = pair.server("require = \"data\"", "");
    server.put("f", "hello");
    let mut ftp = Client::new(&server, pair.client(VERSIONS[1]));
    ftp.say("USER anonymous", 534);
    ftp.auth();
    ftp.log_in();
    let data = ftp.data();
    for line in ["RETR f", "STOR g", "APPE g", "STOU", "LIST", "NLST", "MLSD"] {
        ftp.say(line, 522);
    }
    assert!(!server.has("g"));
    ftp.protect();
    ftp.say("PROT C", 534);
    // The channel was left alone: the refusals came before the 150.
    ftp.say("RETR f", 150);
    assert_eq!(receive(&ftp.config, data).0, b"hello");
    ftp.expect(226);
}

#[test]
fn d06_t06_nothing_goes_out_in_the_clear_when_the_handshake_fails() {
    let pair = Pair::new();
    let server = pair.server("", "[limits]\ntls_handshake = \"3s\"");
    server.put("f", "the secret");
    for version in VERSIONS {
        for wrong in [&b"USER ann\r\n"[..], &[0x16, 3, 1, 0xff, 0xff, 1, 2, 3], b"", b"\x80\x2e\x01\x03\x00"] {
            let mut ftp = Client::private(&server, pair.client(version));
            let mut data = ftp.data();
            ftp.say("RETR f", 150);
            let _gone_perhaps = data.write_all(wrong);
            ftp.expect(522);
            let mut seen = Vec::new();
            let _reset_perhaps = data.read_to_end(&mut seen);
            assert!(!seen.windows(6).any(|window| window == b"secret"), "{seen:?}");
            ftp.say("NOOP", 200);
        }
        // A peer that closes in the handshake.
        let mut ftp = Client::private(&server, pair.client(version));
        let data = ftp.data();
        ftp.say("STOR g", 150);
        drop(data);
        ftp.expect(522);
    }
}

#[test]
fn d06_a_stranger_on_the_same_host_gets_nothing_and_is_written_down() {
    let pair = Pair::new();
    let server = pair.server("reuse = \"require\"", "[limits]\ntls_handshake = \"3s\"");
    server.put("f", "the secret");
    let stranger = Arc::new(pair.client(VERSIONS[1]));
    // He comes before the client does, and: speaks no TLS, says nothing at all, speaks TLS of his own.
    for way in 0..3 {
        let mut ftp = Client::private(&server, pair.client(VERSIONS[1]));
        let owner = ftp.socket().local_addr().unwrap();
        let mut data = ftp.data();
        let caller = data.local_addr().unwrap();
        ftp.say("RETR f", 150);
        let mut seen = Vec::new();
        match way {
            0 => drop(data.write_all(b"RETR f\r\n")),
            1 => {}
            _ => drop(dress(&stranger, data.try_clone().unwrap()).unwrap().read_to_end(&mut seen)),
        }
        ftp.expect(522);
        let _reset_perhaps = data.read_to_end(&mut seen);
        assert!(!seen.windows(6).any(|window| window == b"secret"), "{seen:?}");
        let line = server.wait_for(&caller.to_string());
        assert!(line.contains(&owner.to_string()) && line.contains("TLS"), "{line}");
        // The session has lost a transfer and nothing else.
        assert_eq!(ftp.fetch("RETR f").0, b"the secret");
    }
}

#[test]
fn t07_only_the_control_connections_own_client_gets_the_data_connection() {
    let pair = Pair::new();
    let server = pair.server("reuse = \"require\"", "");
    server.put("f", "hello");
    for version in VERSIONS {
        let mut ftp = Client::private(&server, pair.client(version));
        let mut other = Client::private(&server, pair.client(version));
        assert_eq!(other.fetch("RETR f"), (b"hello".to_vec(), true));
        // Somebody who does not resume anything, the same with what that brought, and somebody who resumes another session.
        let stranger = Arc::new(pair.client(version));
        for config in [&stranger, &stranger, &other.config] {
            let data = ftp.data();
            ftp.say("RETR f", 150);
            let mut data = dress(config, data).unwrap();
            let mut bytes = Vec::new();
            let _closed = data.read_to_end(&mut bytes);
            assert!(bytes.is_empty(), "{bytes:?}");
            assert!(ftp.expect(522).contains("not resumed"));
        }
        // As often as it likes.
        for _ in 0..20 {
            assert_eq!(ftp.fetch("RETR f"), (b"hello".to_vec(), true));
        }
        // In TLS 1.3 rustls uses each ticket once, and an upload brings no new one.
        let uploads = if version.version == rustls::ProtocolVersion::TLSv1_2 { 20 } else { 3 };
        for count in 0..uploads {
            ftp.store("STOR g", &noise(count));
        }
    }
}

#[test]
fn a_client_without_tickets_resumes_by_session_id() {
    use rustls::client::{Resumption, Tls12Resumption};
    let pair = Pair::new();
    let server = pair.server("reuse = \"require\"", "");
    let client = || {
        let mut config = pair.client(VERSIONS[0]);
        config.resumption = Resumption::in_memory_sessions(4).tls12_resumption(Tls12Resumption::SessionIdOnly);
        config
    };
    let mut ftp = Client::private(&server, client());
    for count in 0..20 {
        ftp.store("STOR g", &noise(count));
        assert_eq!(ftp.fetch("RETR g"), (noise(count), true));
    }
    // A stranger's own session is not kept.
    let stranger = Arc::new(client());
    for _ in 0..2 {
        let data = ftp.data();
        ftp.say("RETR g", 150);
        let mut data = dress(&stranger, data).unwrap();
        let mut bytes = Vec::new();
        let _closed = data.read_to_end(&mut bytes);
        assert!(bytes.is_empty(), "{bytes:?}");
        ftp.expect(522);
    }
}

#[test]
fn t08_an_upload_without_close_notify_failed_where_that_is_strict() {
    let pair = Pair::new();
    for (strict, code) in [("true", 426), ("false", 226)] {
        let tables = "[files]\nuploads = \"atomic\"";
        let server = pair.server(&format!("strict_close = {strict}"), tables);
        for version in VERSIONS {
            let mut ftp = Client::private(&server, pair.client(version));
            let data = ftp.data();
            ftp.say("STOR f", 150);
            let mut data = dress(&ftp.config, data).unwrap();
            data.write_all(b"half a file").unwrap();
            data.sock.shutdown(Shutdown::Write).unwrap();
            ftp.expect(code);
            assert_eq!(server.has("f"), code == 226);
        }
    }
}

#[test]
fn t09_old_versions_garbage_and_huge_records_end_one_connection_only() {
    let pair = Pair::new();
    let server = pair.server("", "");
    let mut other = Client::private(&server, pair.client(VERSIONS[1]));
    let mut ssl3 = vec![0x16, 3, 0, 0, 45, 1, 0, 0, 41, 3, 0];
    ssl3.extend([0; 32]);
    ssl3.extend([0, 0, 2, 0, 5, 1, 0]);
    let mut tls11 = ssl3.clone();
    (tls11[2], tls11[10]) = (1, 2);
    let mut huge = vec![0x16, 3, 3, 0x44, 0];
    huge.extend(noise(17 * 1024));
    for hello in [ssl3, tls11, huge, noise(500)] {
        let mut ftp = Client::new(&server, pair.client(VERSIONS[1]));
        ftp.say("AUTH TLS", 234);
        ftp.send(&hello);
        let mut answer = Vec::new();
        let _reset_perhaps = ftp.socket().read_to_end(&mut answer);
        assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
    }
    other.say("NOOP", 200);
}

#[test]
fn t10_a_client_that_names_other_protocols_is_turned_away() {
    let pair = Pair::new();
    let server = pair.server("", "");
    for version in VERSIONS {
        let offering = |names: &[&[u8]]| {
            let mut config = pair.client(version);
            config.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
            Client::new(&server, config)
        };
        for names in [&[&b"http/1.1"[..]][..], &[b"h2", b"http/1.1"], &[b"x-filezilla-ftp"]] {
            let mut ftp = offering(names);
            ftp.say("AUTH TLS", 234);
            let error = ftp.dress().expect_err("an alert").to_string();
            assert!(error.contains("NoApplicationProtocol"), "{error}");
        }
        for names in [&[][..], &[&b"ftp"[..]], &[b"x-filezilla-ftp", b"ftp"]] {
            let mut ftp = offering(names);
            ftp.auth();
            let chosen = ftp.tls().conn.alpn_protocol().map(<[u8]>::to_vec);
            assert_eq!(chosen, (!names.is_empty()).then(|| b"ftp".to_vec()));
            ftp.log_in();
            ftp.protect();
            ftp.fetch("LIST");
        }
    }
}

#[test]
fn t12_a_browsers_first_line_ends_the_session_on_either_channel() {
    let pair = Pair::new();
    let server = pair.server("", "");
    let mut ftp = Client::new(&server, pair.client(VERSIONS[1]));
    ftp.send(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nUSER anonymous\r\n");
    ftp.expect(421);
    ftp.expect_close();
    for version in VERSIONS {
        let mut ftp = Client::new(&server, pair.client(version));
        ftp.auth();
        ftp.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nUSER anonymous\r\n");
        ftp.expect(421);
        ftp.expect_close();
    }
}

#[test]
fn t13_slow_handshakes_are_cut_off_and_cost_little() {
    const PEERS: usize = 300;
    let pair = Pair::new();
    let server = pair.server("", "[limits]\ntls_handshake = \"4s\"\nper_ip = 0");
    let mut hello = Vec::new();
    let mut connection =
        rustls::ClientConnection::new(Arc::new(pair.client(VERSIONS[1])), "localhost".try_into().unwrap()).unwrap();
    connection.write_tls(&mut hello).unwrap();
    let mut slow: Vec<Client> = (0..PEERS)
        .map(|_| {
            let mut ftp = Client::new(&server, pair.client(VERSIONS[1]));
            ftp.say("AUTH TLS", 234);
            ftp
        })
        .collect();
    // A byte now and then gains nobody any time.
    for byte in &hello[..20] {
        for ftp in &slow {
            let _gone_perhaps = ftp.socket().write_all(&[*byte]);
        }
        let mut other = Client::private(&server, pair.client(VERSIONS[1]));
        other.say("NOOP", 200);
    }
    for ftp in &mut slow {
        assert!(is_closed(&mut ftp.socket()), "still open");
    }
}

#[test]
fn t14_a_hello_in_records_of_one_byte_is_understood() {
    let pair = Pair::new();
    let server = pair.server("", "");
    let mut ftp = Client::new(&server, pair.client(VERSIONS[1]));
    let mut hello = Vec::new();
    let mut connection =
        rustls::ClientConnection::new(Arc::clone(&ftp.config), "localhost".try_into().unwrap()).unwrap();
    connection.write_tls(&mut hello).unwrap();
    ftp.say("AUTH TLS", 234);
    let crumbs: Vec<u8> = hello[5..].iter().flat_map(|byte| [0x16, 3, 1, 0, 1, *byte]).collect();
    for piece in crumbs.chunks(7) {
        ftp.send(piece);
    }
    let mut socket = ftp.socket().try_clone().unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).expect("a handshake");
    }
}

#[test]
fn t15_a_peer_that_closes_or_vanishes_costs_no_time() {
    let pair = Pair::new();
    let server = pair.server("", "");
    let mut mid = Client::new(&server, pair.client(VERSIONS[1]));
    mid.say("AUTH TLS", 234);
    mid.send(&CLEAR_CLOSE_NOTIFY);
    let mut half = Client::private(&server, pair.client(VERSIONS[1]));
    half.tls().conn.send_close_notify();
    half.tls().flush().unwrap();
    let silent = Client::private(&server, pair.client(VERSIONS[0]));
    let mut data_silent = Client::private(&server, pair.client(VERSIONS[1]));
    let data = data_silent.data();
    data_silent.say("STOR f", 150);
    let quiet = dress(&data_silent.config, data).unwrap();
    // With nothing to do it sleeps, but for a timer's moment; a loop that spins is never asleep.
    let busy = busy(&server);
    assert!(busy < 20, "at work in {busy} of 100 looks while nothing happens");
    drop((quiet, silent));
}

#[test]
fn t16_floods_of_key_updates_and_renegotiations_are_ended() {
    let pair = Pair::new();
    let server = pair.server("", "");
    let mut ftp = Client::private(&server, pair.client(VERSIONS[1]));
    for _ in 0..100 {
        if ftp.tls().conn.refresh_traffic_keys().is_err() || ftp.tls().flush().is_err() {
            break;
        }
    }
    let mut end = [0; 100];
    while !matches!(ftp.tls().read(&mut end), Ok(0) | Err(_)) {}
    let mut other = Client::private(&server, pair.client(VERSIONS[1]));
    other.say("NOOP", 200);
}

#[test]
fn t17_ccc_by_policy_and_rein_lead_back_to_the_clear() {
    let pair = Pair::new();
    let strict = pair.server("", "");
    let mut ftp = Client::private(&strict, pair.client(VERSIONS[1]));
    ftp.say("CCC", 534);
    let server = pair.server("ccc = true", "");
    server.put("f", "hello");
    for version in VERSIONS {
        let mut ftp = Client::new(&server, pair.client(version));
        ftp.log_in();
        ftp.say("CCC", 533);
        let mut ftp = Client::private(&server, pair.client(version));
        ftp.say("CCC", 200);
        ftp.bare();
        ftp.say("PWD", 257);
        ftp.say("PROT C", 503);
        assert_eq!(ftp.fetch("RETR f").0, b"hello", "the data connections stay private");
        ftp.auth();
        ftp.say("PWD", 530);
        ftp.say("REIN", 220);
        ftp.bare();
        ftp.say("PBSZ 0", 503);
        ftp.log_in();
        let data = ftp.data();
        ftp.say("RETR f", 150);
        assert_eq!(read_all(data), b"hello", "PROT is C again");
        ftp.expect(226);
    }
}

#[test]
fn a16_who_left_tls_and_then_the_session_is_a_stranger_in_the_clear() {
    let pair = Pair::new();
    let server = pair.server("ccc = true", "");
    let mut ftp = Client::private(&server, pair.client(VERSIONS[1]));
    ftp.say("CCC", 200);
    ftp.bare();
    ftp.say("USER anonymous", 331);
    let config = std::fs::read_to_string(server.config()).unwrap();
    std::fs::write(server.config(), config.replace("ccc = true", "ccc = true\nrequire = \"login\"")).unwrap();
    server.signal(rustix::process::Signal::HUP);
    server.wait_for("reloaded");
    ftp.say("PASS x", 530);
    ftp.say("PWD", 530);
}

#[test]
fn t19_an_implicit_port_says_nothing_before_tls() {
    let pair = Pair::new();
    let (server, address) = implicit(&pair, "");
    server.put("big", vec![7; 64 << 20]);
    for version in VERSIONS {
        let mut ftp = Client::silent(address, pair.client(version));
        assert!(!readable(ftp.socket()), "a word in the clear");
        ftp.dress().unwrap();
        ftp.expect(220);
        ftp.log_in();
        // PROT P is assumed, PBSZ understood.
        let (listing, resumed) = ftp.fetch("NLST");
        assert_eq!((listing.as_slice(), resumed), (&b"big\r\n"[..], true));
        let data = ftp.data();
        ftp.say("RETR big", 150);
        let held = dress(&ftp.config, data).unwrap();
        ftp.send(b"ABOR\r\n");
        ftp.expect(426);
        ftp.expect(226);
        drop(held);
        ftp.say("REIN", 220);
        ftp.say("FEAT", 211);
        ftp.say("QUIT", 221);
        ftp.expect_close();
    }
}

fn readable(socket: &std::net::TcpStream) -> bool {
    let half_a_second = Timespec { tv_sec: 0, tv_nsec: 300_000_000 };
    poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&half_a_second)).unwrap() > 0
}

/// A server with an implicit port beside its explicit one.
fn implicit(pair: &Pair, tls: &str) -> (Server, SocketAddr) {
    let server = pair.server(&format!("implicit = [\"127.0.0.1:0\"]\n{tls}"), "");
    let line = server.wait_for("(implicit TLS)");
    let address = line.trim_end_matches(" (implicit TLS)").rsplit(' ').next().unwrap().parse().unwrap();
    (server, address)
}
