//! LIST, NLST, MLSD, MLST and STAT: formats to the column, options, patterns, hostile names, large directories.

mod common;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use common::{Peer, Server, is_closed, read_some};

/// Half a year, where LIST changes from the time to the year.
const HALF_A_YEAR: u64 = 182 * 86_400;

fn touch(server: &Server, name: &str, time: SystemTime) {
    File::options().append(true).open(server.path(name)).unwrap().set_modified(time).unwrap();
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The columns of one line: permissions, links, owner, group, size, month, day, time or year, name.
fn columns(line: &str) -> [&str; 9] {
    let name = line.match_indices(' ').nth(last_blank(line)).map(|(at, _)| &line[at + 1..]).unwrap();
    let mut words = line[..line.len() - name.len()].split_whitespace();
    let mut next = || words.next().unwrap();
    [next(), next(), next(), next(), next(), next(), next(), next(), name]
}

/// How many blanks come before the one that ends the eighth column.
fn last_blank(line: &str) -> usize {
    let (mut words, mut blanks, mut inside) = (0, 0, false);
    for byte in line.bytes() {
        match (byte, inside) {
            (b' ', true) if words == 8 => return blanks,
            (b' ', _) => (blanks, inside) = (blanks + 1, false),
            (_, false) => (words, inside) = (words + 1, true),
            (_, true) => {}
        }
    }
    panic!("fewer than nine columns: {line}");
}

fn names(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| columns(line)[8]).collect()
}

#[test]
fn a_line_has_its_columns() {
    let server = Server::full();
    server.put("a b.txt", "x".repeat(1234));
    fs::set_permissions(server.path("a b.txt"), fs::Permissions::from_mode(0o644)).unwrap();
    touch(&server, "a b.txt", at(1_111_111_111));
    let meta = fs::metadata(server.path("a b.txt")).unwrap();
    let mut ftp = server.login();
    let lines = ftp.lines("LIST");
    let [line] = &lines[..] else { panic!("{lines:?}") };
    let [_, _, owner, group, ..] = columns(line);
    let wanted = format!("-rw-r--r--   1 {owner:<8} {group:<8}         1234 Mar 18  2005 a b.txt");
    assert_eq!(line, &wanted);
    if meta.uid() == 0 {
        assert_eq!(owner, "root");
    }
    assert_eq!(ftp.lines("NLST -l"), lines);
    let stat = ftp.say("STAT .").expect(213);
    assert_eq!(stat.lines[0], b"Status of .:");
    assert_eq!(stat.body(), [format!(" {wanted}").into_bytes()]);
    assert_eq!(stat.lines[2], b"End of status");
}

#[test]
fn times_turn_into_years_after_half_a_year_and_in_the_future() {
    let server = Server::full();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let ages = [
        ("new", now - 60, true),
        ("old", now - HALF_A_YEAR - 60, false),
        ("month", now - HALF_A_YEAR + 3600, true),
        ("future", now + 7200, false),
        ("epoch", 0, false),
    ];
    for (name, time, _) in ages {
        server.put(name, "");
        touch(&server, name, at(time));
    }
    let mut ftp = server.login();
    let lines = ftp.lines("LIST");
    for (name, time, has_clock) in ages {
        let line = lines.iter().find(|line| line.ends_with(&format!(" {name}"))).unwrap();
        let word = columns(line)[7];
        assert_eq!(word.contains(':'), has_clock, "{line}");
        let stamp = ftp.say(format!("MDTM {name}")).expect(213).text();
        let shown = if has_clock { format!("{}:{}", &stamp[8..10], &stamp[10..12]) } else { stamp[..4].to_owned() };
        assert_eq!(word, shown, "LIST and MDTM agree: both are UTC");
        assert_eq!(line.len() - name.len(), 1 + line.rfind(word).unwrap() + word.len());
        let modify = ftp.say(format!("MLST {name}")).expect(250).text();
        assert!(modify.contains(&format!("modify={stamp};")), "{modify}");
        assert_eq!(stamp == "19700101000000", time == 0);
    }
}

#[test]
fn permissions_and_types_have_their_letters() {
    let server = Server::full();
    for (name, mode) in [("plain", 0o644), ("suid", 0o4755), ("sgid", 0o2644), ("none", 0o000)] {
        server.put(name, "");
        fs::set_permissions(server.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    for (name, mode) in [("dir", 0o755), ("sticky", 0o1777), ("stuck", 0o1776)] {
        fs::create_dir(server.path(name)).unwrap();
        fs::set_permissions(server.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    rustix::fs::mknodat(rustix::fs::CWD, server.path("pipe"), rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(server.path("sock")).unwrap();
    let mut ftp = server.login();
    let lines = ftp.lines("LIST");
    let shown: BTreeMap<&str, &str> = lines.iter().map(|line| (columns(line)[8], columns(line)[0])).collect();
    for (name, letters) in [
        ("plain", "-rw-r--r--"),
        ("suid", "-rwsr-xr-x"),
        ("sgid", "-rw-r-Sr--"),
        ("none", "----------"),
        ("dir", "drwxr-xr-x"),
        ("sticky", "drwxrwxrwt"),
        ("stuck", "drwxrwxrwT"),
    ] {
        assert_eq!(shown[name], letters, "{name}");
    }
    assert!(shown["pipe"].starts_with('p') && shown["sock"].starts_with('s'));
    let type_of = |ftp: &mut Peer, name: &str| {
        let text = ftp.say(format!("MLST {name}")).expect(250).text();
        text.split(';').next().unwrap().rsplit("type=").next().unwrap().to_owned()
    };
    for (name, kind) in [("plain", "file"), ("dir", "dir"), ("pipe", "OS.unix=fifo"), ("sock", "OS.unix=socket")] {
        assert_eq!(type_of(&mut ftp, name), kind);
    }
    ftp.say("MLST suid").expect(250).says("UNIX.mode=4755;");
    let pipe = ftp.say("MLST pipe").expect(250).text();
    assert!(!pipe.contains("size="), "only files have a size: {pipe}");
}

#[test]
fn facts_tell_what_this_session_may_do() {
    let server = Server::full();
    server.put("dir/f", "");
    let mut ftp = server.login();
    ftp.say("MLST dir/f").expect(250).says("perm=adfrw;");
    ftp.say("MLST dir").expect(250).says("perm=cdeflmp;");
    let lines = ftp.lines("MLSD dir");
    assert_eq!(lines.len(), 1, "neither . nor ..: {lines:?}");
    let meta = fs::metadata(server.path("dir/f")).unwrap();
    assert!(lines[0].contains(&format!("unique={:x}U{:x};", meta.dev(), meta.ino())), "{lines:?}");
    fs::hard_link(server.path("dir/f"), server.path("twin")).unwrap();
    symlink("dir/f", server.path("link")).unwrap();
    let unique = |ftp: &mut Peer, name: &str| {
        let text = ftp.say(format!("MLST {name}")).expect(250).text();
        text.split(';').find_map(|fact| fact.strip_prefix("unique=")).unwrap().to_owned()
    };
    let of_file = unique(&mut ftp, "dir/f");
    assert_eq!(unique(&mut ftp, "twin"), of_file);
    assert_eq!(unique(&mut ftp, "link"), of_file);
    ftp.say("MLST").expect(250).says("type=dir;");
    ftp.say("CWD dir").expect(250);
    ftp.say("MLST").expect(250).says("; /dir");
    ftp.say("MLST .").expect(250).says("type=dir;");
}

#[test]
fn r17_options_in_all_their_spellings() {
    let server = Server::full();
    for (name, size, age) in [("b", 1, 30), ("a", 3, 20), ("c", 2, 10), (".dot", 0, 40)] {
        server.put(name, "x".repeat(size));
        touch(&server, name, SystemTime::now() - Duration::from_secs(age));
    }
    server.put("with blank/in side", "");
    touch_dir(&server, "with blank");
    let mut ftp = server.login();
    for (line, wanted) in [
        ("LIST", "a b c with blank"),
        ("LIST -l", "a b c with blank"),
        ("LIST -a", ". .. .dot a b c with blank"),
        ("LIST -la", ". .. .dot a b c with blank"),
        ("LIST -al", ". .. .dot a b c with blank"),
        ("LIST -a -L", ". .. .dot a b c with blank"),
        ("LIST -alF", ". .. .dot a b c with blank"),
        ("LIST -A", ".dot a b c with blank"),
        ("LIST -r", "with blank c b a"),
        ("LIST -1CFhnpx", "a b c with blank"),
        ("LIST -Z", "a b c with blank"),
        ("LIST -R", "a b c with blank"),
        ("LIST -- .", "a b c with blank"),
        ("LIST -a with blank", ". .. in side"),
        ("LIST -aL with blank", ". .. in side"),
        ("LIST -la /with blank", ". .. in side"),
        ("LIST with blank", "in side"),
        ("LIST with blank/", "in side"),
        ("LIST a", "a"),
        ("LIST /a", "a"),
        ("list -A ", ".dot a b c with blank"),
    ] {
        let lines = ftp.lines(line);
        assert_eq!(names(&lines).join(" "), wanted, "{line}");
    }
    assert_eq!(names(&ftp.lines("LIST -t"))[..2], ["with blank", "c"]);
    assert_eq!(names(&ftp.lines("LIST -tr"))[..2], ["b", "a"]);
    assert_eq!(names(&ftp.lines("LIST -S"))[1..], ["a", "c", "b"], "a directory is large");
    let lines = ftp.lines("LIST -d with blank");
    assert!(lines.len() == 1 && lines[0].starts_with('d') && lines[0].ends_with(" with blank"), "{lines:?}");
    assert_eq!(ftp.lines("LIST -d").len(), 1);
    let mut unsorted = ftp.lines("LIST -U");
    unsorted.sort_by(|a, b| columns(a)[8].cmp(columns(b)[8]));
    assert_eq!(names(&unsorted).join(" "), "a b c with blank");
    // A name that is there wins over its reading as an option.
    server.put("-la", "");
    assert_eq!(names(&ftp.lines("LIST -la")), ["-la"]);
}

/// Its own time is newer than that of everything else here.
fn touch_dir(server: &Server, name: &str) {
    File::open(server.path(name)).unwrap().set_modified(SystemTime::now()).unwrap();
}

#[test]
fn names_only() {
    let server = Server::full();
    for name in ["a.txt", "b.txt", "c.bin", ".dot", "sub/d.txt", "sub/e.bin"] {
        server.put(name, "");
    }
    let mut ftp = server.login();
    for (line, wanted) in [
        ("NLST", "a.txt b.txt c.bin sub"),
        ("NLST sub", "d.txt e.bin"),
        ("NLST /sub/", "d.txt e.bin"),
        ("NLST a.txt", "a.txt"),
        ("NLST sub/d.txt", "sub/d.txt"),
        ("NLST /sub/d.txt", "/sub/d.txt"),
        ("NLST *.txt", "a.txt b.txt"),
        ("NLST sub/*.txt", "sub/d.txt"),
        ("NLST /sub/*", "/sub/d.txt /sub/e.bin"),
        ("NLST ?.t[w-y]t", "a.txt b.txt"),
        ("NLST [!a]*.txt", "b.txt"),
        ("NLST *", "a.txt b.txt c.bin sub"),
        ("NLST -a", ".dot a.txt b.txt c.bin sub"),
        ("NLST -1", "a.txt b.txt c.bin sub"),
    ] {
        let mut lines = ftp.lines(line);
        lines.retain(|line| line != "." && line != "..");
        assert_eq!(lines.join(" "), wanted, "{line}");
    }
    for line in
        ["NLST *.none", "NLST none", "NLST none/*", "LIST *.none", "NLST */d.txt", "NLST {a,b}.txt", "NLST ~nobody"]
    {
        ftp.epsv();
        ftp.say(line).expect(550);
    }
    ftp.say("NLST *.none").expect(550).says("No files found");
    // Literal names win over patterns.
    server.put("*", "star");
    assert_eq!(ftp.lines("NLST *"), ["*"]);
    assert_eq!(ftp.fetch("RETR *"), b"star");
    ftp.say("DELE ?").expect(550);
    assert_eq!(names(&ftp.lines("LIST *.txt")), ["a.txt", "b.txt"]);
    ftp.say("STAT *.txt").expect(213).says("b.txt");
}

#[test]
fn x11_patterns_are_matched_in_bounded_work() {
    let server = Server::full();
    server.put("a".repeat(200), "");
    let mut ftp = server.login();
    for pattern in ["*a".repeat(100) + "b", "*".repeat(250) + "b", "[a-z]*".repeat(40) + "!", "*/".repeat(60) + "*"] {
        let line = format!("NLST {pattern}");
        ftp.epsv();
        ftp.say(line).expect(550);
    }
    ftp.is_well();
}

#[test]
fn r16_names_that_cannot_be_sent_forge_nothing() {
    let server = Server::full();
    let odd: [&[u8]; 6] = [b"new\nline", b"re\rturn", b"\x1b[2J", b"226 done\r\n226 x", b"fine", b"latin-\xe9"];
    for name in odd {
        server.put(name, "");
    }
    let mut ftp = server.login();
    let nlst = ftp.fetch("NLST");
    let mut lines: Vec<&[u8]> = nlst.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    for line in &lines {
        assert!(matches!(*line, b"\x1b[2J\r" | b"fine\r" | b"latin-\xe9\r"), "{}", line.escape_ascii());
    }
    assert!(lines.contains(&&b"fine\r"[..]) && lines.contains(&&b"latin-\xe9\r"[..]));
    let mlsd = ftp.fetch("MLSD");
    assert!(mlsd.split(|byte| *byte == b'\n').all(|line| line.is_empty() || line.starts_with(b"type=file;")));
    let list = ftp.fetch("LIST");
    let lines: Vec<&[u8]> = list.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), odd.len());
    for line in &lines {
        let returns = line.iter().filter(|byte| **byte == b'\r').count();
        assert!(line.starts_with(b"-rw") && returns == 1, "{}", line.escape_ascii());
    }
    assert!(list.windows(8).any(|window| window == b"new?line"));
    ftp.say("STAT .").expect(213).says("new?line");
}

#[test]
fn links_are_told_without_giving_anything_away() {
    let server = Server::full();
    fs::write(server.outside().join("secret"), "12345678").unwrap();
    server.put("sub/file", "123");
    symlink("sub/file", server.path("in")).unwrap();
    symlink("sub", server.path("to-dir")).unwrap();
    symlink("nowhere", server.path("broken")).unwrap();
    symlink("../outside/secret", server.path("out")).unwrap();
    symlink(server.outside(), server.path("out-dir")).unwrap();
    let mut ftp = server.login();
    let lines = ftp.lines("LIST");
    let line =
        |name: &str| lines.iter().find(|line| columns(line)[8].split(" -> ").next() == Some(name)).unwrap().clone();
    assert!(line("in").starts_with("lrwxrwxrwx") && line("in").ends_with(" in -> sub/file"));
    assert!(line("broken").ends_with(" broken -> nowhere"));
    for name in ["out", "out-dir"] {
        assert!(!line(name).contains("outside"), "{}", line(name));
    }
    let followed = ftp.lines("LIST -L");
    assert!(followed.iter().any(|line| line.starts_with("-rw") && line.ends_with(" in")), "{followed:?}");
    assert!(followed.iter().any(|line| line.starts_with('d') && line.ends_with(" to-dir")));
    let facts = ftp.lines("MLSD");
    let fact = |name: &str| facts.iter().find(|line| line.ends_with(&format!("; {name}"))).unwrap().clone();
    assert!(fact("in").starts_with("type=file;size=3;"), "{}", fact("in"));
    assert!(fact("to-dir").starts_with("type=dir;"));
    assert!(fact("broken").starts_with("type=OS.unix=slink:nowhere;"), "{}", fact("broken"));
    for name in ["out", "out-dir"] {
        let line = fact(name);
        assert!(
            line.starts_with("type=OS.unix=slink") && !line.contains("outside") && !line.contains("size=8;"),
            "{line}"
        );
    }
    let mut all = ftp.lines("NLST");
    all.sort();
    assert_eq!(all, ["broken", "in", "out", "out-dir", "sub", "to-dir"]);
}

#[test]
fn a_thousand_entries_each_once_and_in_order() {
    let server = Server::full();
    let wanted: Vec<String> = (0..1000).map(|number| format!("file {number:04}")).collect();
    for name in &wanted {
        server.put(format!("d/{name}"), "");
    }
    let mut ftp = server.login();
    assert_eq!(ftp.lines("NLST d"), wanted);
    assert_eq!(names(&ftp.lines("LIST d")), wanted);
    assert_eq!(names(&ftp.lines("LIST -r d")).len(), 1000);
    let facts = ftp.lines("MLSD d");
    assert_eq!(facts.len(), 1000);
    let mut of_facts: Vec<&str> = facts.iter().map(|line| line.split_once(' ').unwrap().1).collect();
    of_facts.sort_unstable();
    assert_eq!(of_facts, wanted);
    assert_eq!(ftp.say("STAT d").expect(213).body().len(), 1000);
    server.put("d/one more", "");
    assert_eq!(ftp.say("STAT d").expect(213).body().len(), 1000, "STAT is capped");
    assert_eq!(ftp.lines("NLST d/*7").len(), 100);
}

#[test]
fn twenty_thousand_entries_stream_and_stop_when_told() {
    let server = Server::full();
    fs::create_dir(server.path("many")).unwrap();
    let name = |number: usize| format!("{number:05}-{}", "x".repeat(200));
    for number in 0..20_000 {
        File::create(server.path(format!("many/{}", name(number)))).unwrap();
    }
    let mut ftp = server.login();
    for verb in ["LIST", "NLST", "MLSD"] {
        let text = String::from_utf8(ftp.fetch(format!("{verb} many"))).unwrap();
        let mut numbers: Vec<usize> = text.lines().map(|line| line[line.len() - 206..][..5].parse().unwrap()).collect();
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(0..20_000), "{verb}: {} lines", numbers.len());
    }
    // Another session is served in the middle of it.
    let mut data = ftp.epsv_narrow();
    ftp.say("LIST many").expect(150);
    read_some(&mut data, 100);
    server.login().is_well();
    ftp.say("ABOR").expect(426);
    ftp.reply().expect(226);
    let mut rest = Vec::new();
    assert!(std::io::Read::read_to_end(&mut data, &mut rest).is_err(), "an aborted listing must not end in order");
    let mut data = ftp.epsv_narrow();
    ftp.say("MLSD many").expect(150);
    read_some(&mut data, 100);
    drop(data);
    ftp.reply().expect(426);
    ftp.is_well();
}

#[test]
fn f10_a_listing_survives_what_happens_to_its_directory() {
    // Small buffers on both sides: most of the listing is still to be made when the storm begins.
    let server = Server::full_and("[limits]\nsocket_buffer = \"16KiB\"\n");
    for number in 0..3000 {
        server.put(format!("d/{number:04}"), "");
    }
    let (mut ftp, mut other) = (server.login(), server.login());
    let mut data = ftp.epsv_narrow();
    ftp.say("MLSD d").expect(150);
    let mut text = read_some(&mut data, 100);
    for number in (0..3000).step_by(7) {
        other.say(format!("DELE d/{number:04}")).expect(250);
        other.say(format!("RNFR d/{:04}", number + 1)).expect(350);
        other.say(format!("RNTO d/{:04}.moved", number + 1));
    }
    std::io::Read::read_to_end(&mut data, &mut text).unwrap();
    ftp.reply().expect(226);
    let text = String::from_utf8(text).unwrap();
    let mut seen: Vec<&str> = text.lines().map(|line| line.split_once("; ").unwrap().1).collect();
    let all = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), all, "no name twice");
    assert!(seen.binary_search(&"2996").is_err(), "what vanished before its line was made is not in it");
    for number in (0..3000).filter(|number| number % 7 > 1) {
        assert!(seen.binary_search(&format!("{number:04}").as_str()).is_ok(), "{number} was there all the time");
    }
}

#[test]
fn f08_a_directory_that_vanished_under_the_session() {
    let server = Server::full();
    fs::create_dir(server.path("gone")).unwrap();
    let mut ftp = server.login();
    ftp.say("CWD gone").expect(250);
    fs::remove_dir(server.path("gone")).unwrap();
    ftp.say("PWD").expect(550);
    let mut data = ftp.epsv();
    ftp.say("LIST").expect(550);
    ftp.say("MKD x").expect(553);
    ftp.say("ABOR").expect(226);
    assert!(is_closed(&mut data));
    ftp.say("CDUP").expect(250);
    ftp.say("PWD").expect(257);
}

#[test]
fn what_may_not_be_read_looks_absent() {
    let rules = "[anonymous]\npermissions = \"drop\"\n";
    let server = Server::configured(rules);
    server.put("there", "");
    let mut ftp = server.login();
    let there = ftp.say("RETR there").expect(550).text();
    let absent = ftp.say("RETR other").expect(550).text();
    assert_eq!(there.replace("there", ""), absent.replace("other", ""));
}
