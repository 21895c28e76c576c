//! Bytes over data connections: both ways, in both types, from any offset, and compared one by one.

mod common;

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use common::mount::Mounted;
use common::{Peer, Server, accept, connect, noise, read_all, read_some, send_all};

#[test]
fn f15_sizes_around_every_buffer_both_ways() {
    let server = Server::full();
    let mut ftp = server.login();
    ftp.say("TYPE I").expect(200);
    let sizes = [0, 1, 2, 4095, 4096, 65_535, 65_536, 65_537, 131_072, 131_073, 262_144, 262_145, 1_000_003];
    for size in sizes {
        let bytes = noise(size);
        ftp.store("STOR up", &bytes).expect(226);
        assert!(server.get("up") == bytes, "STOR of {size}");
        server.put("down", &bytes);
        assert!(ftp.fetch("RETR down") == bytes, "RETR of {size}");
        assert!(ftp.fetch_active("RETR down") == bytes, "active RETR of {size}");
    }
}

#[test]
fn many_megabytes_both_ways() {
    let server = Server::full();
    let bytes = noise(20_000_000);
    let mut ftp = server.login();
    ftp.store("STOR up", &bytes).expect(226);
    assert!(server.get("up") == bytes);
    assert!(ftp.fetch("RETR up") == bytes);
}

#[test]
fn restarts_give_exactly_the_rest() {
    let server = Server::full();
    let bytes = noise(300_000);
    server.put("f", &bytes);
    let mut ftp = server.login();
    for mark in [0, 1, 65_535, 65_536, 150_001, 262_144, 299_999, 300_000] {
        ftp.say(format!("REST {mark}")).expect(350);
        assert!(ftp.fetch("RETR f") == bytes[mark..], "RETR from {mark}");
        ftp.say(format!("REST {mark}")).expect(350);
        ftp.store("STOR f", &bytes[mark..]).expect(226);
        assert!(server.get("f") == bytes, "STOR from {mark}");
    }
    ftp.store("STOR f", b"short").expect(226);
    assert_eq!(server.get("f"), b"short", "without a marker the old file goes");
    ftp.store("APPE f", &bytes).expect(226);
    assert!(server.get("f") == [b"short", &bytes[..]].concat());
}

#[test]
fn f15_four_gigabytes_and_their_neighbours() {
    const EDGE: u64 = 1 << 32;
    let server = Server::full();
    let file = File::create_new(server.path("sparse")).unwrap();
    file.set_len(EDGE + 10).unwrap();
    file.write_all_at(b"abcdef", EDGE - 3).unwrap();
    let mut ftp = server.login();
    ftp.say("SIZE sparse").expect(213).says("4294967306");
    file.write_all_at(b"uvwxyz", (EDGE >> 1) - 3).unwrap();
    for (first, words) in [((EDGE >> 1) - 1, b"wxyz"), (EDGE >> 1, b"xyz\0"), ((EDGE >> 1) + 1, b"yz\0\0")] {
        ftp.say(format!("RANG {first} {}", first + 3)).expect(350);
        assert_eq!(ftp.fetch("RETR sparse"), words, "from {first}");
    }
    for (mark, words) in [(EDGE - 1, &b"cdef"[..]), (EDGE, b"def"), (EDGE + 1, b"ef")] {
        ftp.say(format!("REST {mark}")).expect(350);
        let bytes = ftp.fetch("RETR sparse");
        assert_eq!(bytes.len() as u64, EDGE + 10 - mark);
        assert!(bytes.starts_with(words), "from {mark}");
    }
    let data = ftp.epsv();
    ftp.say("RETR sparse").expect(150).says("(4294967306 bytes).");
    drop(data);
    ftp.reply().expect(426);
    ftp.say(format!("REST {}", EDGE + 1)).expect(350);
    ftp.store("STOR sparse", b"XY").expect(226);
    let mut tail = [0; 4];
    let file = File::open(server.path("sparse")).unwrap();
    file.read_exact_at(&mut tail, EDGE).unwrap();
    assert_eq!(&tail, b"dXY\0", "{}", tail.escape_ascii());
    // Across the edge and past it in stretches so long that the kernel sends them by itself.
    let file = File::options().write(true).open(server.path("sparse")).unwrap();
    file.write_all_at(b"end", EDGE + 99_997).unwrap();
    for (mark, words) in [(EDGE - 100_000, &b"\0\0"[..]), (EDGE + 1, b"XY")] {
        ftp.say(format!("REST {mark}")).expect(350);
        let bytes = ftp.fetch("RETR sparse");
        assert_eq!(bytes.len() as u64, EDGE + 100_000 - mark);
        assert!(bytes.starts_with(words) && bytes.ends_with(b"end"), "from {mark}");
    }
}

/// Sends a piece and waits until the server has it, so that the next one comes in a segment of its own.
fn in_pieces(ftp: &mut Peer, mut data: std::net::TcpStream, pieces: &[&[u8]]) {
    let mut sent = 0;
    for piece in pieces {
        data.write_all(piece).unwrap();
        sent += piece.len() as u64;
        ftp.wait_for_progress(sent);
    }
}

#[test]
fn text_comes_in_whatever_the_segments() {
    let server = Server::full();
    let mut ftp = server.login();
    ftp.say("TYPE A").expect(200);
    let cases: [(&[&[u8]], &[u8]); 8] = [
        (&[b"x\r", b"\ny\r\n"], b"x\ny\n"),
        (&[b"x\r\n", b"y"], b"x\ny"),
        (&[b"x\ry\nz\r"], b"x\ry\nz\r"),
        (&[b"\r", b"\r", b"\n"], b"\r\n"),
        (&[b"\r", b"x"], b"\rx"),
        (&[b"\r"], b"\r"),
        (&[b"\n", b"\r\n"], b"\n\n"),
        (&[b"\xff\xf4\0"], b"\xff\xf4\0"),
    ];
    for (pieces, stored) in cases {
        let data = ftp.epsv();
        ftp.say("STOR t").expect(150);
        in_pieces(&mut ftp, data, pieces);
        ftp.reply().expect(226);
        assert_eq!(server.get("t"), stored, "{pieces:?}");
    }
}

#[test]
fn text_goes_out_with_its_line_ends_and_size_knows() {
    let server = Server::full();
    let mut ftp = server.login();
    let large = "a line of text\n".repeat(100_000);
    let long_line = "x".repeat(65_535) + "\r\n" + &"y".repeat(65_535) + "\n\n";
    for text in ["", "\n", "a\nb", "a\r\nb\n", "a\rb\n", "\r", "\n\n\r\n", &large, &long_line] {
        server.put("t", text);
        let wire = to_wire(text.as_bytes());
        ftp.say("TYPE A").expect(200);
        let got = ftp.fetch("RETR t");
        assert!(got == wire, "{} bytes instead of {}", got.len(), wire.len());
        assert_eq!(ftp.say("SIZE t").expect(213).text(), wire.len().to_string());
        for mark in [1, wire.len() / 2, wire.len()].into_iter().filter(|mark| *mark <= wire.len()) {
            ftp.say(format!("REST {mark}")).expect(350);
            assert!(ftp.fetch("RETR t") == wire[mark..], "from {mark} of what goes out");
        }
        ftp.say("TYPE I").expect(200);
        assert_eq!(ftp.say("SIZE t").expect(213).text(), text.len().to_string());
    }
    ftp.say("TYPE A").expect(200);
    ftp.say("REST 1").expect(350);
    ftp.epsv();
    ftp.say("STOR t").expect(554);
}

fn to_wire(text: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    for (at, byte) in text.iter().enumerate() {
        if *byte == b'\n' && (at == 0 || text[at - 1] != b'\r') {
            wire.push(b'\r');
        }
        wire.push(*byte);
    }
    wire
}

#[test]
fn size_in_ascii_has_a_limit_and_no_estimate() {
    let server = Server::full_and("[limits]\nascii_size = \"1MiB\"\n");
    server.put("fits", "\n".repeat(1 << 20));
    server.put("over", "\n".repeat((1 << 20) + 1));
    let mut ftp = server.login();
    ftp.say("TYPE A").expect(200);
    ftp.order("SIZE fits");
    ftp.order("NOOP");
    assert_eq!(ftp.reply().expect(213).text(), (2 << 20).to_string());
    ftp.reply().expect(200);
    ftp.say("SIZE over").expect(550).says("SIZE not available in ASCII mode.");
}

#[test]
fn without_type_bytes_stay_bytes() {
    let server = Server::full();
    let mut ftp = server.login();
    ftp.store("STOR picture", b"a\r\nb\n").expect(226);
    assert_eq!(server.get("picture"), b"a\r\nb\n");
    assert_eq!(ftp.fetch("RETR picture"), b"a\r\nb\n");
    let text = Server::full_and("[files]\ndefault_type = \"A\"\n");
    let mut ftp = text.login();
    ftp.store("STOR page", b"a\r\nb").expect(226);
    assert_eq!(text.get("page"), b"a\nb");
}

#[test]
fn listings_are_text_whatever_the_type() {
    let server = Server::full();
    server.put("x", "");
    let mut ftp = server.login();
    for line in ["TYPE I", "TYPE A"] {
        ftp.say(line).expect(200);
        assert_eq!(ftp.fetch("NLST"), b"x\r\n");
    }
}

#[test]
fn unique_names_are_told_and_never_taken() {
    let server = Server::full();
    let mut ftp = server.login();
    let mut names = Vec::new();
    for line in ["STOU", "STOU", "STOU pic.jpg", "STOU pic.jpg"] {
        let data = ftp.epsv();
        let opening = ftp.say(line).expect(150).text();
        let name = opening.strip_prefix("FILE: ").unwrap().to_owned();
        send_all(data, name.as_bytes());
        let end = ftp.reply().expect(226).text();
        assert!(end.contains(&format!("(unique name: {name})")) && !end.contains("for "), "{end}");
        assert_eq!(server.get(&name), name.as_bytes());
        assert!(!names.contains(&name));
        names.push(name);
    }
    assert!(names[2].starts_with("pic") && names[3].starts_with("pic"), "{names:?}");
}

#[test]
fn f05_a_file_that_shrinks_while_it_is_sent_is_never_complete() {
    let server = Server::full();
    let mut ftp = server.login();
    for (line, size) in [("TYPE I", 40_000_000), ("TYPE A", 40_000_000)] {
        server.put("f", "y\n".repeat(size / 2));
        ftp.say(line).expect(200);
        let mut data = ftp.epsv_narrow();
        ftp.say("RETR f").expect(150);
        read_some(&mut data, 100_000);
        File::options().write(true).open(server.path("f")).unwrap().set_len(200_000).unwrap();
        let mut rest = Vec::new();
        // A clean end of the stream would tell the client that it has the whole file.
        assert!(data.read_to_end(&mut rest).is_err(), "{line}: the data connection ends in order");
        ftp.reply().expect(451);
    }
    ftp.is_well();
}

#[test]
fn f06_a_file_that_grows_is_sent_as_announced() {
    let server = Server::full();
    server.put("f", noise(3_000_000));
    let mut ftp = server.login();
    let mut data = ftp.epsv();
    ftp.say("RETR f").expect(150).says("(3000000 bytes)");
    read_some(&mut data, 1000);
    let mut file = File::options().append(true).open(server.path("f")).unwrap();
    file.write_all(b"more").unwrap();
    assert_eq!(read_all(data).len(), 3_000_000 - 1000);
    ftp.reply().expect(226);
}

#[test]
fn f06_a_file_replaced_while_it_is_sent_stays_one_file() {
    let server = Server::full();
    let bytes = noise(8_000_000);
    server.put("f", &bytes);
    let mut ftp = server.login();
    let mut data = ftp.epsv();
    ftp.say("RETR f").expect(150);
    let mut got = read_some(&mut data, 1000);
    server.put("g", vec![b'X'; 8_000_000]);
    fs::rename(server.path("g"), server.path("f")).unwrap();
    data.read_to_end(&mut got).unwrap();
    ftp.reply().expect(226);
    assert!(got == bytes);
}

#[test]
fn what_is_stored_is_there_at_once() {
    let server = Server::full();
    let (mut ftp, mut other) = (server.login(), server.login());
    for round in 0..50 {
        let name = format!("lock.{round}");
        ftp.store(format!("STOR {name}"), b"1").expect(226);
        other.say(format!("SIZE {name}")).expect(213).says("1");
        assert_eq!(other.lines(format!("NLST {name}")), std::slice::from_ref(&name));
        other.say(format!("DELE {name}")).expect(250);
        ftp.say(format!("SIZE {name}")).expect(550);
    }
}

#[test]
fn f01_a_full_disk_is_told_and_the_session_goes_on() {
    let server = Server::full();
    let Some(_disk) = Mounted::small(server.path("disk")) else { return };
    let mut ftp = server.login();
    for line in ["TYPE I", "TYPE A"] {
        ftp.say(line).expect(200);
        let mut data = ftp.epsv();
        ftp.say("STOR disk/f").expect(150);
        // The server stops taking bytes: how many it took is its own affair.
        let _cut_short = data.write_all(&noise(4 << 20));
        ftp.reply().expect(452);
        ftp.say("NOOP").expect(200);
        ftp.say("DELE disk/f").expect(250);
    }
    ftp.store("STOR disk/small", b"fits").expect(226);
    ftp.say("CWD disk").expect(250);
    ftp.say("ALLO 100000000000").expect(452);
    ftp.say("CWD /").expect(250);
    let mkd = (0..8).map(|number| ftp.say(format!("MKD disk/{number}")).code).find(|code| *code != 257);
    assert_eq!(mkd, Some(452), "no room for one more name");
    // A rename never becomes a copy.
    server.put("here", "x");
    ftp.say("RNFR here").expect(350);
    ftp.say("RNTO disk/there").expect(550);
    assert!(server.has("here") && !server.has("disk/there"));
}

#[test]
fn f02_a_limit_on_file_sizes_is_no_end_of_the_server() {
    let server = Server::launch("127.0.0.1:0", "[anonymous]\npermissions = \"full\"\n", &[], |command| {
        let mut limited = std::process::Command::new("sh");
        limited.args(["-c", "ulimit -f 128; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
        limited
    });
    let mut ftp = server.login();
    let mut data = ftp.epsv();
    ftp.say("STOR f").expect(150);
    let _cut_short = data.write_all(&noise(1 << 20));
    ftp.reply().expect(552);
    ftp.is_well();
}

#[test]
fn uploads_to_one_name_do_not_mix_with_a_download_of_it() {
    let server = Server::full();
    server.put("f", noise(2_000_000));
    let (mut reader, mut writer) = (server.login(), server.login());
    let mut data = reader.epsv();
    reader.say("RETR f").expect(150);
    read_some(&mut data, 1000);
    writer.store("STOR f", b"new").expect(226);
    // The old content was cut off under the reader: it may be told so, it may not be told that all is well.
    let mut rest = Vec::new();
    let clean = data.read_to_end(&mut rest).is_ok();
    let code = reader.reply().code;
    assert!((code == 226) == (clean && rest.len() == 2_000_000 - 1000), "{code} after {} bytes", rest.len());
    assert_eq!(server.get("f"), b"new");
}

#[test]
fn p19_directories_pipes_and_devices_are_no_files() {
    let server = Server::full();
    fs::create_dir(server.path("d")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, server.path("p"), rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(server.path("s")).unwrap();
    let mut ftp = server.login();
    let mut names = vec!["d", "p", "s"];
    // /dev/zero, which would never end; made by the superuser only.
    let (kind, number) = (rustix::fs::FileType::CharacterDevice, rustix::fs::makedev(1, 5));
    if rustix::fs::mknodat(rustix::fs::CWD, server.path("c"), kind, 0o666.into(), number).is_ok() {
        names.push("c");
    }
    for name in names {
        for verb in ["RETR", "STOR", "APPE", "SIZE", "MDTM"] {
            ftp.epsv();
            let reply = ftp.say(format!("{verb} {name}"));
            assert_eq!(reply.code, 550, "{verb} {name}: {}", reply.text());
        }
    }
    ftp.is_well();
}

#[test]
fn the_channel_may_open_after_the_verb() {
    let server = Server::full();
    server.put("f", "hello");
    let mut ftp = server.login();
    let address = ftp.epsv_address();
    ftp.say("RETR f").expect(150);
    assert_eq!(read_all(connect(address)), b"hello");
    ftp.reply().expect(226);
    let address = ftp.pasv_address();
    ftp.say("STOR g").expect(150);
    send_all(connect(address), b"late");
    ftp.reply().expect(226);
    assert_eq!(server.get("g"), b"late");
    let listener = ftp.eprt();
    ftp.say("RETR f").expect(150);
    assert_eq!(read_all(accept(&listener)), b"hello");
    ftp.reply().expect(226);
}

#[test]
fn f15_holes_stay_cheap_to_read() {
    let server = Server::full();
    let mut file = File::create(server.path("holes")).unwrap();
    file.seek(SeekFrom::Start(5_000_000)).unwrap();
    file.write_all(b"end").unwrap();
    let bytes = server.login().fetch("RETR holes");
    assert_eq!(bytes.len(), 5_000_003);
    assert!(bytes[..5_000_000].iter().all(|byte| *byte == 0) && bytes.ends_with(b"end"));
}
