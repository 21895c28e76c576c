//! Rates, quotas and files that are not in memory.

mod common;

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

use common::{Peer, SECRET_HASH, Server, noise, read_all, until_counted};
use rustix::fs::{Advice, fadvise};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use rustix::process::Signal;

fn account(name: &str, more: &str) -> String {
    format!("[[account]]\nname = \"{name}\"\npassword = \"{SECRET_HASH}\"\npermissions = \"full\"\n{more}\n")
}

fn server(account_lines: &str) -> Server {
    Server::with_accounts("", &account("ann", account_lines))
}

/// A member whose home is counted: before that nothing may be stored.
fn login(server: &Server) -> Peer {
    let mut ann = server.login_as("ann", "secret");
    ann.say("TYPE I").expect(200);
    until_counted(&mut ann);
    ann
}

/// Sends `size` bytes with a verb and gives the code of the last reply. A server that has enough closes early: what
/// cannot be sent any more is part of its answer.
fn put(peer: &mut Peer, line: &str, size: usize) -> u16 {
    let mut data = peer.epsv();
    let opening = peer.say(line);
    if opening.code != 150 {
        return opening.code;
    }
    let _refused = data.write_all(&vec![b'x'; size]);
    drop(data);
    peer.reply().code
}

fn left(peer: &mut Peer) -> u64 {
    peer.say("AVBL").expect(213).text().parse().unwrap()
}

/// Bytes moved so far.
fn moved(peer: &mut Peer) -> u64 {
    let text = peer.wait_for_progress(0);
    text.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn f16_bytes_are_counted_to_the_last_one() {
    let server = server("quota = { bytes = 1000 }");
    let mut ann = login(&server);
    assert_eq!(put(&mut ann, "STOR a", 600), 226);
    assert_eq!(left(&mut ann), 400);
    // What is left may grow by the file that is replaced.
    ann.say("ALLO 1000").expect(200);
    ann.say("ALLO 1001").expect(552);
    assert_eq!(put(&mut ann, "APPE a", 100), 226);
    ann.say("REST 500").expect(350);
    assert_eq!(put(&mut ann, "STOR a", 250), 226);
    assert_eq!((left(&mut ann), server.get("a").len()), (250, 750));
    assert_eq!(put(&mut ann, "STOR b", 900), 552);
    assert_eq!((left(&mut ann), server.get("b").len()), (0, 250));
    assert_eq!(put(&mut ann, "STOR c", 1), 552);
    assert!(!server.has("c"));
    assert_eq!(put(&mut ann, "APPE a", 1), 552);
    // What lies within a file costs nothing, and what is replaced is free again.
    ann.say("REST 700").expect(350);
    assert_eq!(put(&mut ann, "STOR a", 50), 226);
    assert_eq!(put(&mut ann, "STOR a", 100), 226);
    assert_eq!(left(&mut ann), 650);
    ann.say("RNFR a").expect(350);
    ann.say("RNTO b").expect(250);
    assert_eq!(left(&mut ann), 900);
    ann.say("RNFR b").expect(350);
    ann.say("RNTO c").expect(250);
    assert_eq!(left(&mut ann), 900);
    ann.say("DELE c").expect(250);
    assert_eq!(left(&mut ann), 1000);
}

#[test]
fn a_wrong_name_is_told_before_a_full_quota_and_a_refusal_is_written_down() {
    let text = "[files]\ndeny = [\"*.lnk\"]\n[log]\nlevel = \"debug\"\ntransfers = \"xferlog\"\n";
    let server = Server::with_accounts(text, &account("ann", "quota = { bytes = 1000 }"));
    let mut ann = login(&server);
    assert_eq!(put(&mut ann, "STOR a", 3000), 552);
    let line = server.wait_for("STOR \"/a\"");
    assert!(line.contains("1000 bytes"), "what was stored counts: {line}");
    ann.say("STOR b").expect(425);
    ann.say("STOU").expect(425);
    ann.epsv();
    for line in ["STOR a.lnk", "STOR no/such/b", "STOU no/such/b"] {
        ann.say(line).expect(553);
    }
    ann.say("REST 1").expect(350);
    ann.say("STOR a.lnk").expect(553);
    for line in ["STOR b", "STOU"] {
        ann.say(line).expect(552);
    }
    let line = server.wait_for("STOR \"b\" refused, 552: the quota is used up");
    assert!(line.contains("INFO") && line.contains("ann@127.0.0.1"), "{line}");
    ann.say("RETR none").expect(550);
    let line = server.wait_for("RETR \"none\" refused, 550: none: No such file or directory.");
    assert!(line.contains("DEBUG"), "{line}");
}

#[test]
fn text_is_charged_as_it_is_stored() {
    let server = server("quota = { bytes = 10 }");
    let mut ann = login(&server);
    ann.say("TYPE A").expect(200);
    ann.store("STOR a", b"1\r\n2\r\n3\r\n").expect(226);
    assert_eq!(left(&mut ann), 4);
}

#[test]
fn parallel_uploads_share_what_is_left() {
    const QUOTA: u64 = 3_000_000;
    let server = server(&format!("quota = {{ bytes = {QUOTA} }}"));
    let mut peers: Vec<Peer> = (0..4).map(|_| login(&server)).collect();
    let mut uploads: Vec<TcpStream> = Vec::new();
    for (number, peer) in peers.iter_mut().enumerate() {
        let data = peer.epsv();
        peer.say(format!("STOR f{number}")).expect(150);
        uploads.push(data);
    }
    for _ in 0..20 {
        for data in &mut uploads {
            let _refused = data.write_all(&[b'x'; 50_000]);
        }
    }
    uploads.clear();
    let codes: Vec<u16> = peers.iter_mut().map(|peer| peer.reply().code).collect();
    assert!(codes.contains(&552), "{codes:?}");
    let sum: usize = (0..4).map(|number| server.get(format!("f{number}")).len()).sum();
    assert_eq!(sum as u64, QUOTA);
    assert_eq!(left(&mut peers[0]), 0);
}

#[test]
fn a_file_deleted_under_its_upload_is_free_when_the_upload_ends() {
    let server = server("quota = { bytes = 100000 }");
    let (mut ann, mut other) = (login(&server), login(&server));
    let mut data = ann.epsv();
    ann.say("STOR a").expect(150);
    data.write_all(&[b'x'; 40_000]).unwrap();
    ann.wait_for_progress(40_000);
    other.say("DELE a").expect(250);
    assert_eq!(left(&mut other), 60_000);
    data.write_all(&[b'x'; 10_000]).unwrap();
    drop(data);
    ann.reply().expect(226);
    assert_eq!(left(&mut other), 100_000);
}

#[test]
fn an_upload_that_is_aborted_keeps_what_it_wrote() {
    let server = server("quota = { bytes = 100000 }");
    let mut ann = login(&server);
    let mut data = ann.epsv();
    ann.say("STOR a").expect(150);
    data.write_all(&[b'x'; 40_000]).unwrap();
    ann.wait_for_progress(40_000);
    ann.order("ABOR");
    ann.due_is_unknown();
    ann.reply().expect(426);
    ann.reply().expect(226);
    assert_eq!((left(&mut ann), server.get("a").len()), (60_000, 40_000));
}

#[test]
fn f16_an_atomic_upload_counts_from_its_first_byte_and_what_it_replaces_until_its_last() {
    let text = "[files]\nuploads = \"atomic\"\n";
    let server = Server::with_accounts(text, &account("ann", "quota = { bytes = 1000, files = 2 }"));
    let (mut ann, mut other) = (login(&server), login(&server));
    assert_eq!(put(&mut ann, "STOR a", 400), 226);
    assert_eq!(left(&mut ann), 600);
    let mut data = ann.epsv();
    ann.say("STOR a").expect(150);
    data.write_all(&[b'x'; 500]).unwrap();
    ann.wait_for_progress(500);
    assert_eq!(left(&mut other), 100);
    drop(data);
    ann.reply().expect(226);
    assert_eq!(left(&mut other), 500);
    // One that fails leaves no trace, and one that finds no room for both leaves the old file whole.
    assert_eq!(put(&mut ann, "STOR a", 501), 552);
    assert_eq!((left(&mut other), server.get("a").len()), (500, 500));
    assert_eq!(put(&mut ann, "STOR b", 501), 552);
    assert_eq!((left(&mut other), server.has("b")), (500, false));
    assert_eq!(put(&mut ann, "STOR b", 100), 226);
    assert_eq!(put(&mut ann, "STOR c", 1), 552);
    assert_eq!(put(&mut ann, "STOR a", 10), 226);
    ann.say("DELE a").expect(250);
    ann.say("DELE b").expect(250);
    assert_eq!(left(&mut other), 1000);
    assert_eq!(put(&mut ann, "STOR a", 1), 226);
    assert_eq!(put(&mut ann, "STOR b", 1), 226);
}

#[test]
fn files_and_links_are_counted_directories_are_not() {
    let server = server("quota = { files = 3 }");
    let mut ann = login(&server);
    ann.say("MKD d").expect(257);
    assert_eq!(put(&mut ann, "STOR d/a", 1), 226);
    assert_eq!(put(&mut ann, "STOU", 1), 226);
    ann.say("SITE SYMLINK a d/link").expect(200);
    ann.say("SITE SYMLINK a d/link2").expect(552);
    assert_eq!(put(&mut ann, "STOR d/b", 1), 552);
    assert_eq!(put(&mut ann, "STOU", 1), 552);
    assert_eq!(put(&mut ann, "STOR d/a", 5), 226);
    ann.say("DELE d/link").expect(250);
    assert_eq!(put(&mut ann, "STOR d/b", 1), 226);
    ann.say("RNFR d/b").expect(350);
    ann.say("RNTO d/a").expect(250);
    assert_eq!(put(&mut ann, "STOR d/b", 1), 226);
    assert_eq!(put(&mut ann, "STOR d/c", 1), 552);
}

#[test]
fn what_is_there_already_counts_and_accounts_with_one_home_share_it() {
    let accounts = account("ann", "quota = { bytes = 1000 }") + &account("bob", "quota = { bytes = 2000 }");
    let accounts = accounts + &account("eve", "");
    let files = [("accounts.toml", accounts.as_str()), ("root/old", &"x".repeat(700))];
    let server = Server::launch("127.0.0.1:0", "", &files, |command| command);
    let mut ann = login(&server);
    let (mut bob, mut eve) = (server.login_as("bob", "secret"), server.login_as("eve", "secret"));
    assert_eq!((left(&mut ann), left(&mut bob)), (300, 1300));
    eve.say("TYPE I").expect(200);
    assert_eq!(put(&mut eve, "STOR e", 200), 226);
    assert_eq!((left(&mut ann), left(&mut bob)), (100, 1100));
    bob.say("DELE old").expect(250);
    assert_eq!(left(&mut ann), 800);
    // A reload forgets nothing, and nobody has to wait for its count.
    server.signal(Signal::HUP);
    server.wait_for("reloaded");
    assert_eq!(left(&mut server.login_as("ann", "secret")), 800);
}

#[test]
fn a_reload_gives_a_quota_to_sessions_that_are_in_and_to_their_uploads() {
    let server = server("");
    let mut old = login(&server);
    assert_eq!(put(&mut old, "STOR before", 3000), 226);
    let mut data = old.epsv();
    old.say("STOR running").expect(150);
    data.write_all(&[b'x'; 1000]).unwrap();
    old.wait_for_progress(1000);
    let accounts = server.config().with_file_name("accounts.toml");
    fs::write(&accounts, account("ann", "quota = { bytes = 10000 }")).unwrap();
    server.signal(Signal::HUP);
    server.wait_for("in 2 files");
    let mut new = login(&server);
    assert_eq!(left(&mut new), 6000);
    data.write_all(&[b'x'; 2000]).unwrap();
    drop(data);
    old.reply().expect(226);
    assert_eq!((left(&mut old), left(&mut new)), (4000, 4000));
    assert_eq!(put(&mut old, "STOR more", 5000), 552);
    old.say("DELE more").expect(250);
    old.say("DELE before").expect(250);
    assert_eq!(left(&mut new), 7000);
    // What another program does shows at a count, and a reload makes one.
    server.put("foreign", [0; 500]);
    fs::write(&accounts, account("ann", "quota = { bytes = 20000 }")).unwrap();
    server.signal(Signal::HUP);
    server.wait_for("3500 bytes in 2 files");
    assert_eq!((left(&mut old), left(&mut new)), (16_500, 16_500));
}

#[test]
fn a_session_gets_no_more_than_its_rate() {
    let server = Server::full_and("[limits]\ndownload = \"1KiB\"\nupload = \"2KiB\"\n");
    server.put("f", noise(60_000));
    let mut guest = server.login();
    guest.say("TYPE I").expect(200);
    let data = guest.epsv();
    guest.say("RETR f").expect(150);
    // Without the limit all of it is with the kernel before 150 is read; with it that takes a minute.
    assert!(moved(&mut guest) < 30_000);
    drop(data);
    guest.order("ABOR");
    guest.due_is_unknown();
    guest.reply().expect(426);
    guest.reply().expect(226);
    let mut data = guest.epsv();
    guest.say("STOR g").expect(150);
    data.write_all(&noise(60_000)).unwrap();
    guest.wait_for_progress(1);
    assert!(moved(&mut guest) < 30_000);
}

#[test]
fn sessions_of_an_account_share_its_rate_and_listings_are_no_part_of_it() {
    let server = server("download = \"2KiB\"");
    server.put("f", noise(60_000));
    let mut sessions: Vec<(Peer, TcpStream)> = Vec::new();
    for _ in 0..3 {
        let mut ann = login(&server);
        let data = ann.epsv();
        ann.say("RETR f").expect(150);
        sessions.push((ann, data));
    }
    let sum: u64 = sessions.iter_mut().map(|(ann, _)| moved(ann)).sum();
    assert!(sum < 60_000, "{sum}");
    assert_eq!(login(&server).lines("NLST"), ["f"]);
}

#[test]
fn a_limited_transfer_comes_whole() {
    let server = Server::full_and("[limits]\ndownload = \"4MiB\"\nupload = \"4MiB\"\n");
    let bytes = noise(400_000);
    server.put("f", &bytes);
    let mut guest = server.login();
    guest.say("TYPE I").expect(200);
    assert!(guest.fetch("RETR f") == bytes);
    guest.store("STOR g", &bytes).expect(226);
    assert!(server.get("g") == bytes);
    server.put("lines", "line\n".repeat(50_000));
    guest.say("TYPE A").expect(200);
    assert_eq!(guest.fetch("RETR lines").len(), 300_000);
}

/// Takes a file out of memory. False where the file system lives there.
fn forget(path: &Path) -> bool {
    let file = fs::File::open(path).unwrap();
    file.sync_all().unwrap();
    fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    let mut byte = [0];
    let mut slices = [std::io::IoSliceMut::new(&mut byte)];
    preadv2(&file, &mut slices, 0, ReadWriteFlags::NOWAIT) == Err(Errno::AGAIN)
}

#[test]
fn cold_files_come_whole() {
    let server = Server::read_only();
    let mut guest = server.login();
    for size in [1, 4096, 65_536, 65_537, 131_072, 300_000, 2 << 20, 5_000_001] {
        let bytes = noise(size);
        server.put("f", &bytes);
        let cold = forget(&server.path("f"));
        guest.say("TYPE I").expect(200);
        assert!(guest.fetch("RETR f") == bytes, "{size} bytes, cold: {cold}");
        forget(&server.path("f"));
        guest.say(format!("REST {}", size / 2)).expect(350);
        assert!(guest.fetch("RETR f") == bytes[size / 2..], "half of {size} bytes");
    }
    server.put("lines", "line\n".repeat(500_000));
    forget(&server.path("lines"));
    guest.say("TYPE A").expect(200);
    assert_eq!(guest.fetch("RETR lines").len(), 3_000_000);
}

#[test]
fn data_sockets_hold_what_they_are_told_to() {
    let unread = |config: &str| {
        let server = Server::configured(config);
        server.put("f", noise(20_000_000));
        let mut guest = server.login();
        guest.say("TYPE I").expect(200);
        let _unread = guest.epsv();
        guest.say("RETR f").expect(150);
        (0..100).map(|_| moved(&mut guest)).last()
    };
    let (bounded, free) = (unread("[limits]\nsocket_buffer = \"16KiB\"\n"), unread(""));
    assert!(bounded < free, "{bounded:?} {free:?}");
}

#[test]
fn more_cold_downloads_than_lanes_come_whole() {
    // Small buffers, so that a peer that reads nothing soon stops its download in the middle of a window.
    let server = Server::configured("[limits]\nsocket_buffer = \"64KiB\"\n");
    let bytes = noise(3_000_000);
    let mut downloads: Vec<(Peer, TcpStream)> = Vec::new();
    for number in 0..24 {
        server.put(format!("f{number}"), &bytes);
        forget(&server.path(format!("f{number}")));
    }
    for number in 0..24 {
        let mut guest = server.login();
        guest.say("TYPE I").expect(200);
        let data = guest.epsv();
        guest.say(format!("RETR f{number}")).expect(150);
        downloads.push((guest, data));
    }
    // The first peers take nothing while the last are served.
    for (mut guest, data) in downloads.into_iter().rev() {
        assert!(read_all(data) == bytes);
        guest.reply().expect(226);
    }
}

#[test]
fn a_large_upload_comes_whole_past_its_write_out() {
    let server = Server::full();
    let mut guest = server.login();
    guest.say("TYPE I").expect(200);
    let bytes = noise(40 << 20);
    guest.store("STOR f", &bytes).expect(226);
    assert!(server.get("f") == bytes);
}

#[test]
fn an_account_has_the_sessions_it_may_have() {
    let server = server("sessions = 1");
    let _first = server.login_as("ann", "secret");
    let mut second = server.connect();
    second.say("USER ann").expect(331);
    second.say("PASS secret").expect(421);
}
