//! Nothing outside the root can be named, read, made, changed or measured, by any verb and any spelling.

#[path = "../common/mod.rs"]
mod common;

mod chance;
mod rules;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use common::{Peer, Server};

const SECRET: &[u8] = b"the secret of 28 bytes......";

/// Without the kernel's second wall (Landlock), which would hide a hole in the first.
const ONE_WALL: &str = "[sandbox]\nmode = \"off\"\n";

/// A server with a secret beside its root, and every kind of link to it.
fn baited() -> Server {
    let server = Server::full_and(ONE_WALL);
    fs::write(server.outside().join("secret"), SECRET).unwrap();
    fs::create_dir(server.outside().join("dir")).unwrap();
    fs::write(server.outside().join("dir/secret"), SECRET).unwrap();
    server.put("inside/file", "inner");
    let links = [
        ("relative", Path::new("../outside/secret").to_owned()),
        ("absolute", server.outside().join("secret")),
        ("deep/relative", Path::new("../../outside/secret").to_owned()),
        ("magic-file", Path::new("/proc/self/root").join(server.outside().strip_prefix("/").unwrap()).join("secret")),
        ("chain", "relative".into()),
        ("through", "out-dir/secret".into()),
    ];
    fs::create_dir(server.path("deep")).unwrap();
    for (name, target) in &links {
        symlink(target, server.path(name)).unwrap();
    }
    symlink("../outside", server.path("out-dir")).unwrap();
    symlink(server.outside(), server.path("out-abs")).unwrap();
    symlink("/proc/self/root", server.path("magic")).unwrap();
    symlink("/proc/self/cwd", server.path("magic-cwd")).unwrap();
    symlink("..", server.path("up")).unwrap();
    symlink("../outside/made", server.path("dangling")).unwrap();
    symlink(server.outside().join("made"), server.path("dangling-abs")).unwrap();
    server
}

const FILE_LINKS: [&str; 6] = ["relative", "absolute", "deep/relative", "magic-file", "chain", "through"];
const DIRECTORY_LINKS: [&str; 5] = ["out-dir", "out-abs", "magic", "magic-cwd", "up"];

/// Everything beside the root: names, contents, modes, times. Must be the same before and after.
fn outside(server: &Server) -> BTreeMap<String, (Vec<u8>, u32, i64)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![server.outside()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            let content = if meta.is_file() { fs::read(entry.path()).unwrap() } else { Vec::new() };
            if meta.is_dir() {
                folders.push(entry.path());
            }
            found.insert(entry.path().display().to_string(), (content, meta.mode(), meta.mtime()));
        }
    }
    found
}

/// A line that must be refused, with nothing told and nothing done.
#[track_caller]
fn refused(ftp: &mut Peer, line: &str) {
    ftp.epsv();
    let reply = ftp.say(line);
    let text = reply.text();
    assert!(matches!(reply.code, 550 | 553), "{line}: {} {text}", reply.code);
    assert!(!text.contains("28") && !text.contains("root:"), "{line} tells {text}");
}

#[test]
fn p01_up_ends_at_the_root() {
    let server = baited();
    let mut ftp = server.login();
    for line in ["CWD ../../../..", "CWD /../..", "CWD ..", "CWD inside/../../.."] {
        ftp.say(line).expect(250);
        ftp.say("PWD").expect(257).says("\"/\"");
    }
    for _ in 0..20 {
        ftp.say("CDUP").expect(250);
    }
    ftp.say("PWD").expect(257).says("\"/\"");
    ftp.say("CWD inside").expect(250);
    assert_eq!(ftp.fetch("RETR ../../../inside/file"), b"inner", "clamped, and then found");
}

#[test]
fn p02_p03_spellings_of_the_way_out_are_names() {
    let server = baited();
    let before = outside(&server);
    let mut ftp = server.login();
    // What these verbs would destroy if they got there is ours.
    let host = server.outside().join("secret").display().to_string();
    for path in [
        &*host,
        "../outside/secret",
        "/../outside/secret",
        "..//outside/secret",
        "/./.././outside/secret",
        "inside/../../outside/secret",
        ".../outside/secret",
        ".. /outside/secret",
        "..\\outside\\secret",
        "%2e%2e/outside/secret",
        "%2e%2e%2foutside%2fsecret",
        "..%c0%afoutside",
        "~root/.profile",
        "~/../outside/secret",
        &format!("/{host}"),
        &format!("/proc/self/root{host}"),
        "inside/file/../../../outside/secret",
    ] {
        for verb in ["RETR", "SIZE", "MDTM", "MLST", "DELE", "RNFR", "CWD", "LIST", "NLST", "STAT", "RMD"] {
            refused(&mut ftp, &format!("{verb} {path}"));
        }
    }
    for verb in ["RETR", "SIZE", "MDTM", "MLST", "CWD", "LIST", "NLST", "STAT"] {
        refused(&mut ftp, &format!("{verb} /etc/passwd"));
    }
    assert_eq!(outside(&server), before);
}

#[test]
fn p04_no_verb_follows_a_link_to_a_file_outside() {
    let server = baited();
    let before = outside(&server);
    let mut ftp = server.login();
    for link in FILE_LINKS {
        for verb in [
            "RETR",
            "SIZE",
            "MDTM",
            "STOR",
            "APPE",
            "CWD",
            "MLSD",
            "MFMT 20200101000000",
            "SITE CHMOD 600",
            "MDTM 20200101000000",
            "SITE UTIME 202001010000",
            "MFF modify=20200101000000;",
            "MFF UNIX.mode=0600;",
            "MKD",
            "RMD",
            "AVBL",
        ] {
            let line = format!("{verb} {link}");
            if verb == "MLSD" {
                // It exists and is no directory; of what it leads to nothing is told.
                ftp.epsv();
                assert!(matches!(ftp.say(&line).code, 501 | 550), "{line}");
            } else {
                refused(&mut ftp, &line);
            }
        }
        ftp.say("TYPE A").expect(200);
        refused(&mut ftp, &format!("SIZE {link}"));
        ftp.say("TYPE I").expect(200);
        ftp.say("REST 4").expect(350);
        refused(&mut ftp, &format!("RETR {link}"));
        ftp.say("REST 4").expect(350);
        refused(&mut ftp, &format!("STOR {link}"));
        for line in [format!("LIST {link}"), format!("LIST -L {link}"), format!("NLST -lL {link}")] {
            let _data = ftp.epsv();
            if ftp.say(&line).code == 150 {
                ftp.reply().expect(226);
            }
        }
        for line in [format!("MLST {link}"), format!("STAT {link}"), format!("STAT -L {link}")] {
            let text = ftp.say(&line).text();
            assert!(!text.contains("28") || !text.contains("size=28"), "{line}: {text}");
            assert!(!text.contains("outside") && !text.contains("/etc"), "{line}: {text}");
        }
    }
    assert_eq!(outside(&server), before);
}

#[test]
fn p05_no_verb_passes_through_a_link_to_a_directory_outside() {
    let server = baited();
    let before = outside(&server);
    let mut ftp = server.login();
    for link in DIRECTORY_LINKS {
        for verb in ["CWD", "LIST -d", "RMD", "MLSD", "AVBL", "MKD"] {
            let _data = ftp.epsv();
            let code = ftp.say(format!("{verb} {link}")).code;
            assert!(matches!(code, 501 | 550 | 553) || verb == "LIST -d", "{verb} {link}: {code}");
            if code == 150 {
                ftp.reply().expect(226);
            }
        }
        for verb in [
            "RETR",
            "SIZE",
            "MDTM",
            "MLST",
            "STAT",
            "STOR",
            "APPE",
            "DELE",
            "RNFR",
            "LIST",
            "NLST",
            "MFMT 20200101000000",
            "SITE CHMOD 777",
        ] {
            refused(&mut ftp, &format!("{verb} {link}/secret"));
        }
        for verb in ["STOR", "MKD", "SITE SYMLINK x", "STOU"] {
            refused(&mut ftp, &format!("{verb} {link}/new"));
        }
        ftp.say("RNFR inside/file").expect(350);
        refused_rename(&mut ftp, &format!("{link}/file"));
        assert_eq!(server.get("inside/file"), b"inner", "the source stays");
    }
    assert_eq!(outside(&server), before);
}

#[track_caller]
fn refused_rename(ftp: &mut Peer, to: &str) {
    let code = ftp.say(format!("RNTO {to}")).code;
    assert!(matches!(code, 550 | 553), "RNTO {to}: {code}");
}

#[test]
fn p10_nothing_is_made_through_a_dangling_link() {
    let server = baited();
    let before = outside(&server);
    let mut ftp = server.login();
    for link in ["dangling", "dangling-abs"] {
        for verb in ["STOR", "APPE", "MKD"] {
            refused(&mut ftp, &format!("{verb} {link}"));
        }
        ftp.say("REST 1").expect(350);
        refused(&mut ftp, &format!("STOR {link}"));
    }
    assert_eq!(outside(&server), before);
    // The kernel lets this one pass, as far as there is nothing behind it.
    symlink("inside/none", server.path("dangling-inside")).unwrap();
    for verb in ["STOR", "APPE", "MKD"] {
        refused(&mut ftp, &format!("{verb} dangling-inside"));
    }
    assert!(!server.has("inside/none"));
}

#[test]
fn p06_p07_links_inside_serve_and_links_out_are_only_names() {
    let server = baited();
    symlink("inside/file", server.path("good")).unwrap();
    symlink("inside", server.path("good-dir")).unwrap();
    let mut ftp = server.login();
    assert_eq!(ftp.fetch("RETR good"), b"inner");
    ftp.say("SIZE good").expect(213).says("5");
    assert_eq!(ftp.fetch("RETR good-dir/file"), b"inner");
    ftp.say("CWD good-dir").expect(250);
    ftp.say("CDUP").expect(250);
    ftp.say("PWD").expect(257).says("\"/\"");
    ftp.store("STOR good", b"outer").expect(226);
    assert_eq!(server.get("inside/file"), b"outer");
    // A link whose target is inside but written from / leads out for everyone alike.
    symlink(server.path("inside/file"), server.path("abs-in")).unwrap();
    for verb in ["RETR", "SIZE", "MDTM", "STOR", "APPE"] {
        refused(&mut ftp, &format!("{verb} abs-in"));
    }
    // Removing or renaming takes the link.
    let before = outside(&server);
    for link in ["relative", "out-dir"] {
        ftp.say(format!("RNFR {link}")).expect(350);
        ftp.say(format!("RNTO {link}.moved")).expect(250);
        ftp.say(format!("RMD {link}.moved")).expect(550);
        ftp.say(format!("DELE {link}.moved")).expect(250);
    }
    ftp.say("DELE good").expect(250);
    assert_eq!(server.get("inside/file"), b"outer");
    assert_eq!(outside(&server), before);
}

#[test]
fn p11_a_rename_cannot_lead_out() {
    let server = baited();
    let before = outside(&server);
    let mut ftp = server.login();
    for to in ["../outside/x", "/../outside/x", "out-dir/x", "magic/tmp/x", "up/outside/x"] {
        ftp.say("RNFR inside/file").expect(350);
        refused_rename(&mut ftp, to);
    }
    assert_eq!(server.get("inside/file"), b"inner");
    // Onto the name of a link: the name changes its meaning, what it pointed to does not.
    ftp.say("RNFR inside/file").expect(350);
    ftp.say("RNTO relative").expect(250);
    assert_eq!(server.get("relative"), b"inner");
    assert_eq!(outside(&server), before);
}

#[test]
fn links_that_lead_out_cannot_be_made() {
    let server = Server::full();
    let mut ftp = server.login();
    ftp.say("MKD sub").expect(257);
    for (target, link) in
        [("/etc/passwd", "a"), ("../outside", "a"), ("sub/../../outside", "a"), ("../../x", "sub/a"), ("/", "a")]
    {
        refused(&mut ftp, &format!("SITE SYMLINK {target} {link}"));
    }
    ftp.say("SITE SYMLINK ../x sub/a").expect(200);
    ftp.say("RNFR sub/a").expect(350);
    ftp.say("RNTO a").expect(250);
    // Moved, it leads out; followed it is not.
    fs::write(server.path("../x"), SECRET).unwrap();
    refused(&mut ftp, "RETR a");
    refused(&mut ftp, "STOR a");
    assert_eq!(fs::read(server.path("../x")).unwrap(), SECRET);
}

#[test]
fn p14_the_root_itself_stays() {
    let server = Server::full();
    server.put("f", "");
    let mut ftp = server.login();
    for line in [
        "RMD /",
        "RMD .",
        "DELE /",
        "RNFR /",
        "RNFR ..",
        "RMD ..",
        "MKD /",
        "MKD ..",
        "STOR /",
        "STOR ..",
        "APPE .",
        "RETR /",
        "SITE SYMLINK x /",
    ] {
        refused(&mut ftp, line);
    }
    ftp.say("RNFR f").expect(350);
    refused_rename(&mut ftp, "/");
    assert!(server.has("f"));
}

#[test]
fn p20_long_and_deep_names_are_refused_or_served() {
    let server = Server::full();
    let mut ftp = server.login();
    for verb in ["RETR", "STOR", "MKD", "CWD", "SIZE", "LIST", "DELE", "RNFR", "MLST"] {
        refused(&mut ftp, &format!("{verb} {}", "x".repeat(256)));
        refused(&mut ftp, &format!("{verb} {}", "x/".repeat(2048)));
        refused(&mut ftp, &format!("{verb} {}", "x".repeat(4096)));
    }
    ftp.store(format!("STOR {}", "x".repeat(255)), b"1").expect(226);
    let mut path = server.root();
    for _ in 0..1000 {
        path.push("d");
    }
    fs::create_dir_all(&path).unwrap();
    let deep = "d/".repeat(1000);
    ftp.store(format!("STOR {deep}f"), b"deep").expect(226);
    assert_eq!(ftp.fetch(format!("RETR {deep}f")), b"deep");
    ftp.say(format!("CWD {deep}")).expect(250);
    ftp.say("CWD d").expect(550);
    ftp.say("PWD").expect(257);
    ftp.is_well();
}
