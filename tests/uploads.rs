//! How uploads become files: in place, one writer each; or hidden until they are complete.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};

use common::{Server, noise, reset};
use rustix::process::Signal;

const ATOMIC: &str = "[files]\nuploads = \"atomic\"\n";

/// Names in the served folder that no client can see.
fn hidden(server: &Server) -> Vec<String> {
    let entries = fs::read_dir(server.root()).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(".miniftpd-")).collect()
}

#[test]
fn f12_readers_see_the_old_file_whole_until_226() {
    let server = Server::full_and(ATOMIC);
    let (old, new) = (noise(300_000), noise(500_000));
    server.put("f", &old);
    fs::set_permissions(server.path("f"), PermissionsExt::from_mode(0o640)).unwrap();
    let (mut writer, mut reader) = (server.login(), server.login());
    let mut data = writer.epsv();
    writer.say("STOR f").expect(150);
    data.write_all(&new[..400_000]).unwrap();
    writer.wait_for_progress(400_000);
    assert_eq!(reader.fetch("RETR f"), old);
    reader.say("SIZE f").expect(213).says("300000");
    for line in ["LIST -a", "NLST -a", "MLSD", "NLST .mini*"] {
        let text = match line {
            "NLST .mini*" => String::new(), // 550: nothing of that name
            line => reader.lines(line).join("\n"),
        };
        assert!(!text.contains(".miniftpd-"), "{line}: {text}");
    }
    let [name] = &hidden(&server)[..] else { panic!("one hidden file") };
    for verb in ["RETR", "SIZE", "DELE", "RNFR", "MLST", "SITE CHMOD 644", "LIST"] {
        reader.epsv();
        reader.say(format!("{verb} {name}")).expect(550);
    }
    reader.epsv();
    reader.say(format!("STOR {name}")).expect(553);
    data.write_all(&new[400_000..]).unwrap();
    drop(data);
    writer.reply().expect(226);
    assert_eq!(reader.fetch("RETR f"), new);
    assert_eq!(fs::metadata(server.path("f")).unwrap().mode() & 0o777, 0o640);
    assert!(hidden(&server).is_empty());
}

#[test]
fn f12_a_reader_keeps_the_file_it_began_with() {
    let server = Server::full_and(ATOMIC);
    let old = noise(30_000_000);
    server.put("f", &old);
    let (mut writer, mut reader) = (server.login(), server.login());
    let data = reader.epsv();
    reader.say("RETR f").expect(150);
    writer.store("STOR f", b"new").expect(226);
    assert!(common::read_all(data) == old, "the old file, whole");
    reader.reply().expect(226);
    assert_eq!(server.get("f"), b"new");
}

#[test]
fn whatever_breaks_off_an_upload_leaves_the_old_file_and_nothing_else() {
    let server = Server::full_and(ATOMIC);
    server.put("f", "old");
    for name in ["f", "new"] {
        for end in ["ABOR", "reset", "gone"] {
            let mut ftp = server.login();
            let mut data = ftp.epsv();
            ftp.say(format!("STOR {name}")).expect(150);
            data.write_all(&noise(100_000)).unwrap();
            ftp.wait_for_progress(100_000);
            assert_eq!(hidden(&server).len(), 1);
            match end {
                "ABOR" => {
                    ftp.order("ABOR");
                    ftp.reply();
                    ftp.reply();
                }
                "reset" => {
                    reset(data);
                    ftp.reply().expect(426);
                }
                _ => drop(ftp),
            }
            server.login().is_well();
            let end_of_wait = std::time::Instant::now() + common::PATIENCE;
            while !hidden(&server).is_empty() {
                assert!(std::time::Instant::now() < end_of_wait, "{end} left something");
                std::thread::yield_now();
            }
            assert_eq!((server.get("f"), server.has("new")), (b"old".to_vec(), false), "{name} {end}");
        }
    }
}

#[test]
fn f11_two_writers_of_one_name_never_mix() {
    let server = Server::full_and(ATOMIC);
    let (long, short) = (noise(200_000), vec![b'x'; 1000]);
    let (mut a, mut b) = (server.login(), server.login());
    let (mut to_a, mut to_b) = (a.epsv(), b.epsv());
    a.say("STOR f").expect(150);
    b.say("STOR f").expect(150);
    to_a.write_all(&long[..100_000]).unwrap();
    to_b.write_all(&short).unwrap();
    drop(to_b);
    b.reply().expect(226);
    assert_eq!(server.get("f"), short);
    to_a.write_all(&long[100_000..]).unwrap();
    drop(to_a);
    a.reply().expect(226);
    assert_eq!(server.get("f"), long);
}

#[test]
fn what_is_added_to_a_name_waits_for_an_upload_of_it() {
    let server = Server::full_and(ATOMIC);
    server.put("old", "1");
    let (mut a, mut b) = (server.login(), server.login());
    for (first, second, after) in [
        ("APPE new", "APPE new", "aab"),
        ("APPE fresh", "STOR fresh", "b"),
        ("STOR made", "APPE made", "aab"),
        ("STOR old", "APPE old", "aab"),
        ("STOR old", "STOU old", "aa"),
    ] {
        let mut to_a = a.epsv();
        a.say(first).expect(150);
        to_a.write_all(b"aa").unwrap();
        if second.starts_with("STOU") {
            b.store(second, b"b").expect(226);
        } else {
            b.epsv();
            b.say(second).expect(450);
        }
        drop(to_a);
        a.reply().expect(226);
        if !second.starts_with("STOU") {
            b.store(second, b"b").expect(226);
        }
        let name = &first[5..];
        assert_eq!(String::from_utf8(server.get(name)).unwrap(), after, "{first} {second}");
    }
}

#[test]
fn a_drop_box_is_never_overwritten_even_by_uploads_at_once() {
    let server = Server::configured("[anonymous]\npermissions = \"drop\"\n[files]\nuploads = \"atomic\"\n");
    let (mut a, mut b) = (server.login(), server.login());
    let (mut to_a, mut to_b) = (a.epsv(), b.epsv());
    a.say("STOR f").expect(150);
    b.say("STOR f").expect(150);
    to_a.write_all(b"first").unwrap();
    drop(to_a);
    a.reply().expect(226);
    to_b.write_all(b"second").unwrap();
    drop(to_b);
    b.reply().expect(451);
    assert_eq!((server.get("f"), hidden(&server).len()), (b"first".to_vec(), 0));
}

#[test]
fn rest_and_appe_touch_the_existing_file() {
    let server = Server::full_and(ATOMIC);
    server.put("f", "hello");
    let inode = || fs::metadata(server.path("f")).unwrap().ino();
    let before = inode();
    let mut ftp = server.login();
    ftp.store("APPE f", b" world").expect(226);
    ftp.say("REST 5").expect(350);
    ftp.store("STOR f", b"-W").expect(226);
    assert_eq!((server.get("f"), inode()), (b"hello-World".to_vec(), before));
    // An upload that appends is seen at once, and stays when it breaks off: it can be resumed.
    let mut data = ftp.epsv();
    ftp.say("APPE f").expect(150);
    data.write_all(b"!").unwrap();
    ftp.wait_for_progress(1);
    server.login().say("SIZE f").expect(213).says("12");
    let mut other = server.login();
    other.epsv();
    other.say("STOR f").expect(450);
    reset(data);
    ftp.reply().expect(426);
    assert_eq!(server.get("f"), b"hello-World!");
    ftp.store("APPE new", b"1").expect(226);
    let reply = ftp.store("STOU x", b"2").expect(226).text();
    let name = reply.rsplit(' ').next().unwrap().trim_end_matches(").");
    assert_eq!((server.get("new"), server.get(name)), (b"1".to_vec(), b"2".to_vec()));
}

#[test]
fn s03_a_killed_server_leaves_the_old_file_and_the_next_one_sweeps() {
    let server = Server::full_and(ATOMIC);
    server.put("f", "old");
    server.put("deep/er/f", "old");
    let mut half = Vec::new();
    // Deeper than levels are held open, and beside more names than are read at once.
    let abyss = "n/".repeat(150);
    server.put(format!("{abyss}f"), "old");
    (0..1500).for_each(|number| server.put(format!("n/{number}"), ""));
    for name in ["f", "deep/er/f", "deep/new", &format!("{abyss}f"), "n/f", "n/n/f"] {
        let mut ftp = server.login();
        let mut data = ftp.epsv();
        ftp.say(format!("STOR {name}")).expect(150);
        data.write_all(b"half").unwrap();
        ftp.wait_for_progress(4);
        half.push((ftp, data));
    }
    assert_eq!(server.get("f"), b"old");
    // A second server on the same folder touches nothing that is alive: the locks tell.
    let config = server.config();
    let first = sweep(&config, "no unfinished upload");
    assert_eq!(hidden(&server).len(), 1);
    drop(first);
    server.signal(Signal::KILL);
    for (ftp, _) in &mut half {
        ftp.due_is_unknown();
        ftp.expect_close();
    }
    assert_eq!((server.get("f"), server.get("deep/er/f")), (b"old".to_vec(), b"old".to_vec()));
    assert_eq!(hidden(&server).len(), 1);
    drop(sweep(&config, "6 unfinished uploads"));
    assert!(hidden(&server).is_empty() && !server.has("deep/new"));
    assert_eq!(fs::read_dir(server.path("deep")).unwrap().count(), 1);
}

/// A server on a configuration that is there already, once it has swept and said so in these words. Killed when
/// dropped.
fn sweep(config: &std::path::Path, words: &str) -> impl Drop {
    struct Running(std::process::Child);
    impl Drop for Running {
        fn drop(&mut self) {
            let _gone_already = self.0.kill();
            let _status = self.0.wait();
        }
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_miniftpd"));
    command
        .env("MINIFTPD_SANDBOX_AUDIT", "1")
        .arg("--config")
        .arg(config)
        .args(["--log-level", "debug"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    let log = BufReader::new(running.0.stderr.take().unwrap());
    let (sender, said) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let line = log.lines().map_while(Result::ok).find(|line| line.contains("unfinished upload"));
        sender.send(line.unwrap_or_default())
    });
    let said = said.recv_timeout(common::PATIENCE).expect("it sweeps");
    assert!(said.contains(words), "{said}");
    running
}

#[test]
fn f13_in_place_a_second_writer_is_told_to_wait() {
    let server = Server::full();
    server.put("f", "hello");
    fs::hard_link(server.path("f"), server.path("same")).unwrap();
    let (mut a, mut b) = (server.login(), server.login());
    let mut data = a.epsv();
    a.say("APPE f").expect(150);
    data.write_all(b" world").unwrap();
    a.wait_for_progress(6);
    for name in ["f", "same"] {
        b.say(format!("STOR {name}")).expect(450); // also told without a data connection
        let unused = b.epsv();
        for verb in ["STOR", "APPE"] {
            b.say(format!("{verb} {name}")).expect(450);
        }
        b.say("REST 2").expect(350);
        b.say(format!("STOR {name}")).expect(450);
        drop(unused);
    }
    assert_eq!(b.fetch("RETR f"), b"hello world", "reading is free");
    b.store("STOR other", b"1").expect(226);
    drop(data);
    a.reply().expect(226);
    b.store("APPE same", b"!").expect(226);
    assert_eq!(server.get("f"), b"hello world!");
    // However an upload ends, the next one may.
    let data = a.epsv();
    a.say("STOR new").expect(150);
    b.epsv();
    b.say("STOR new").expect(450);
    reset(data);
    a.reply().expect(426);
    b.store("STOR new", b"2").expect(226);
    let mut gone = server.login();
    let data = gone.epsv();
    gone.say("STOR new").expect(150);
    drop(gone);
    assert!(common::is_closed(&mut { data }));
    b.store("STOR new", b"3").expect(226);
}

#[test]
fn missing_directories_are_made_where_that_is_configured_and_allowed() {
    let plain = Server::full();
    let mut ftp = plain.login();
    ftp.epsv();
    ftp.say("STOR cam/2026/x.jpg").expect(553);
    ftp.say("MKD cam/2026").expect(553);
    assert!(!plain.has("cam"));

    let server = Server::full_and("[files]\nmake_parents = true\n");
    let mut ftp = server.login();
    ftp.say("STOR cam/2026/11/x.jpg").expect(425);
    assert!(!server.has("cam"), "without a data connection nothing is made");
    ftp.epsv();
    ftp.say("REST 5").expect(350);
    ftp.say("STOR cam/2026/11/x.jpg").expect(554);
    assert!(!server.has("cam"), "there is nothing to go on from, and nothing is made for it");
    ftp.store("STOR cam/2026/11/x.jpg", b"1").expect(226);
    ftp.store("APPE cam/2026/12/log", b"2").expect(226);
    ftp.say("MKD cam2/a/b").expect(257).says("\"/cam2/a/b\" created");
    ftp.say("MKD cam2/a/b").expect(550);
    ftp.say("RNFR cam2/a/b").expect(350);
    ftp.say("RNTO cam3/c/d").expect(250);
    ftp.store("STOU cam4/e/f", b"3").expect(226);
    assert!(server.has("cam3/c/d") && server.has("cam4/e"));
    ftp.say(format!("MKD {}x", "y/".repeat(100))).expect(553).says("Too many directories");
    assert_eq!((server.get("cam/2026/11/x.jpg"), server.get("cam/2026/12/log")), (b"1".to_vec(), b"2".to_vec()));
    ftp.epsv();
    ftp.say(format!("STOR {}x", "d/".repeat(40))).expect(553);
    assert!(!server.has("d"));

    let text = "[anonymous]\npermissions = \"elrw\"\n[files]\nmake_parents = true\n";
    let server = Server::configured(text);
    let mut ftp = server.login();
    ftp.epsv();
    ftp.say("STOR cam/x").expect(553);
    ftp.say("REST 5").expect(350);
    ftp.say("STOR cam/x").expect(553);
    assert!(!server.has("cam"), "MKD is not granted, nor are its effects");
}
