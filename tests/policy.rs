//! What `[files]` rules about trees: links, denied and hidden names, listings.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use common::{Peer, Server};

fn policy(text: &str) -> Server {
    Server::full_and(&format!("[files]\n{text}\n"))
}

/// An account `a` with password `pw` and these rules.
fn ruled(config: &str, rules: &[(&str, &str)]) -> Server {
    let script = ["-c", "echo pw | \"$0\" --hash-password", env!("CARGO_BIN_EXE_miniftpd")];
    let output = Command::new("sh").args(script).output().unwrap();
    let hash = String::from_utf8(output.stdout).unwrap();
    let account =
        format!("[[account]]\nname = \"a\"\npassword = \"{}\"\nhome = \"root\"\npermissions = \"full\"\n", hash.trim());
    let rule = |(path, permissions): &(&str, &str)| {
        format!("[[account.rule]]\npath = \"{path}\"\npermissions = \"{permissions}\"\n")
    };
    Server::with_accounts(config, &(account + &rules.iter().map(rule).collect::<String>()))
}

fn linked(server: &Server) {
    server.put("dir/f", "inner");
    for (target, name) in
        [("dir/f", "relative"), ("/dir/f", "absolute"), ("dir", "way"), ("/dir", "way2"), ("../outside/s", "out")]
    {
        symlink(target, server.path(name)).unwrap();
    }
    fs::write(server.outside().join("s"), "secret").unwrap();
}

/// Every verb that follows, on a file and on a directory: all served or all refused.
#[track_caller]
fn followed(ftp: &mut Peer, file: &str, directory: &str, yes: bool) {
    for (line, code) in [
        (format!("SIZE {file}"), 213),
        (format!("MDTM {file}"), 213),
        (format!("SITE CHMOD 644 {file}"), 200),
        (format!("MFMT 20200101000000 {file}"), 213),
        (format!("CWD {directory}"), 250),
        (format!("MLST {directory}/f"), 250),
    ] {
        ftp.say(line).expect(if yes { code } else { 550 });
        ftp.say("CWD /").expect(250);
    }
    for line in [format!("RETR {file}"), format!("MLSD {directory}"), format!("LIST {directory}/")] {
        match yes {
            true => assert!(!ftp.fetch(line).is_empty()),
            false => {
                let _unused = ftp.epsv();
                let reply = ftp.say(line);
                assert!(matches!(reply.code, 550 | 501), "{} {}", reply.code, reply.text());
            }
        }
    }
}

#[test]
fn each_policy_for_links_holds_for_every_verb() {
    for (links, relative, absolute) in [("inside", true, false), ("rooted", true, true), ("never", false, false)] {
        let server = policy(&format!("symlinks = \"{links}\""));
        linked(&server);
        let mut ftp = server.login();
        followed(&mut ftp, "relative", "way", relative);
        followed(&mut ftp, "absolute", "way2", absolute);
        for line in ["RETR out", "SIZE out", "STOR out", "APPE out", "LIST out/", "MLSD out"] {
            let _unused = ftp.epsv();
            let code = ftp.say(line).code;
            assert!(matches!(code, 550 | 553 | 501), "{links} {line} {code}");
        }
        // The links themselves are names like others.
        ftp.say("RNFR relative").expect(350);
        ftp.say("RNTO moved").expect(250);
        ftp.say("DELE moved").expect(250);
        ftp.say("SITE SYMLINK dir/f made").expect(if relative { 200 } else { 550 });
        assert_eq!(fs::read(server.outside().join("s")).unwrap(), b"secret");
        assert_eq!(server.get("dir/f"), b"inner");
    }
}

#[test]
fn listings_tell_of_links_what_the_policy_follows() {
    let server = policy("symlinks = \"rooted\"");
    linked(&server);
    symlink("/srv/of/this/host", server.path("host")).unwrap();
    let mut ftp = server.login();
    let text = ftp.lines("LIST").join("\n");
    assert!(text.contains("absolute -> /dir/f") && text.contains("relative -> dir/f"), "{text}");
    assert!(!text.contains("/srv/of"), "{text}");
    let facts = ftp.lines("MLSD").join("\n");
    assert!(facts.lines().any(|line| line.starts_with("type=file;") && line.ends_with(" absolute")), "{facts}");
    let server = policy("symlinks = \"never\"");
    linked(&server);
    let facts = server.login().lines("MLSD").join("\n");
    assert!(facts.lines().any(|line| line.starts_with("type=OS.unix=slink") && line.ends_with(" way")), "{facts}");
}

#[test]
fn what_a_listing_shows_of_a_link_it_shows_of_the_link_alone() {
    for text in ["", "symlinks = \"never\"", "deny = [\"*.lnk\"]"] {
        links_alone(&Server::full_and(&format!("[files]\n{text}\n")));
    }
}

fn links_alone(server: &Server) {
    for (target, name) in [("nowhere", "dangling"), ("ring", "ring"), ("/etc", "out")] {
        std::os::unix::fs::symlink(target, server.path(name)).unwrap();
        let mut ftp = server.login();
        let all = ftp.lines("LIST");
        let own = ftp.lines(format!("LIST {name}"));
        assert!(own.len() == 1 && all.contains(&own[0]), "{own:?} of {all:?}");
        assert_eq!(ftp.lines(format!("NLST {name}")), [name]);
        ftp.say(format!("MLST {name}")).expect(250).says("End");
        // Nothing is told of what is behind it.
        ftp.epsv();
        for line in [format!("LIST -L {name}"), format!("LIST {name}/"), format!("MLSD {name}"), format!("CWD {name}")]
        {
            let reply = ftp.say(&line);
            assert!(matches!(reply.code, 501 | 550), "{line}: {}", reply.text());
        }
    }
}

#[test]
fn links_that_are_never_made_are_not_offered() {
    for (links, offered) in [("inside", true), ("never", false)] {
        let server = policy(&format!("symlinks = \"{links}\""));
        let mut ftp = server.login();
        for line in ["FEAT", "SITE HELP", "HELP SITE"] {
            let reply = ftp.say(line);
            let told = reply.body().iter().any(|line| String::from_utf8_lossy(line).contains("SYMLINK"));
            assert_eq!(told, offered, "{links} {line}");
        }
    }
}

#[test]
fn a_denied_name_is_absent_for_every_verb() {
    let server = policy("deny = [\"*.lnk\", \"private\"]");
    server.put("x.lnk", "denied");
    server.put("private/f", "denied");
    server.put("f", "1");
    symlink("x.lnk", server.path("alias")).unwrap();
    symlink("private", server.path("door")).unwrap();
    let mut ftp = server.login();
    for name in ["x.lnk", "private", "private/f", "alias", "door/f", "./private/../private/f"] {
        for verb in [
            "RETR",
            "SIZE",
            "MDTM",
            "MLST",
            "LIST",
            "NLST",
            "MLSD",
            "STAT",
            "CWD",
            "SITE CHMOD 600",
            "MFMT 20200101000000",
            "MFF modify=20200101000000;",
            "SITE UTIME 202001010000",
            "AVBL",
        ] {
            // The links themselves are there, and LIST shows a link.
            if matches!((name, verb), ("alias", "LIST" | "NLST" | "STAT" | "MLST")) {
                continue;
            }
            let _unused = ftp.epsv();
            let reply = ftp.say(format!("{verb} {name}"));
            assert_eq!(reply.code, 550, "{verb} {name}: {}", reply.text());
        }
    }
    for name in ["x.lnk", "private", "private/f"] {
        for verb in ["DELE", "RMD", "RNFR"] {
            ftp.say(format!("{verb} {name}")).expect(550);
        }
    }
    for name in ["x.lnk", "new.lnk", "private", "private/new", "private/a/b"] {
        for verb in ["STOR", "APPE", "MKD", "SITE SYMLINK f"] {
            let _unused = ftp.epsv();
            let reply = ftp.say(format!("{verb} {name}"));
            assert_eq!(reply.code, 553, "{verb} {name}: {}", reply.text());
        }
        ftp.say("RNFR f").expect(350);
        ftp.say(format!("RNTO {name}")).expect(553);
    }
    for line in ["LIST -a", "NLST -a", "MLSD", "NLST *"] {
        let text = ftp.lines(line).join("\n");
        assert!(text.contains('f') && !text.contains(".lnk") && !text.contains("private"), "{line}: {text}");
    }
    let _unused = ftp.epsv();
    ftp.say("LIST *.lnk").expect(550);
    assert_eq!((server.get("x.lnk"), server.get("private/f")), (b"denied".to_vec(), b"denied".to_vec()));
}

#[test]
fn hidden_dot_files_are_in_no_listing_and_still_there() {
    let server = policy("hide_dotfiles = true");
    server.put(".h", "1");
    server.put("f", "1");
    let mut ftp = server.login();
    for line in ["LIST -la", "NLST -a", "MLSD", "LIST -f", "NLST -A"] {
        let text = ftp.lines(line).join("\n");
        assert!(text.contains('f') && !text.contains(".h"), "{line}: {text}");
    }
    assert!(!ftp.say("STAT -a /").expect(213).text().contains(".h"));
    assert_eq!(ftp.fetch("RETR .h"), b"1");
}

#[test]
fn a_tree_is_listed_where_it_is_configured() {
    let server = policy("list_recursive = true");
    server.put("a/b/f", "1");
    server.put("z", "1");
    let mut ftp = server.login();
    assert_eq!(ftp.lines("NLST -R"), ["a", "z", "", "./a:", "b", "", "./a/b:", "f"]);
    let long = ftp.lines("LIST -lR a");
    assert!(long[0].starts_with('d') && long[1..3] == ["", "a/b:"] && long[3].ends_with(" f"), "{long:?}");
    assert!(!ftp.say("STAT -R a").expect(213).text().contains("a/b:"));
    let plain = Server::full();
    plain.put("a/b/f", "1");
    assert_eq!(plain.login().lines("NLST -R"), ["a"]);
}

#[test]
fn local_time_is_for_the_eyes_only() {
    let text = "[anonymous]\npermissions = \"full\"\n[files]\nlisting_time = \"local\"\n";
    let server = Server::launch("127.0.0.1:0", text, &[], |mut command| {
        command.env("TZ", "<+0530>-5:30");
        command
    });
    server.put("f", "1");
    let mut ftp = server.login();
    ftp.say("MFMT 20201231200000 f").expect(213).says("20201231200000");
    assert!(ftp.lines("LIST f")[0].contains(" Jan  1  2021 f"));
    ftp.say("MDTM f").expect(213).says("20201231200000");
    assert!(ftp.lines("MLSD")[0].contains("modify=20201231200000;"));
    let utc = Server::launch("127.0.0.1:0", "[anonymous]\npermissions = \"full\"\n", &[], |mut command| {
        command.env("TZ", "<+0530>-5:30");
        command
    });
    utc.put("f", "1");
    let mut ftp = utc.login();
    ftp.say("MFMT 20201231200000 f").expect(213);
    assert!(ftp.lines("LIST f")[0].contains(" Dec 31  2020 f"));
}

#[test]
fn sorting_and_matching_have_their_configured_ends() {
    let server = Server::full_and("[limits]\nlisting_sort = 50\npattern_steps = 100\n");
    for number in 0..400 {
        server.put(format!("d/{}", number * 7 % 400), "");
        server.put(format!("few/{}", number % 40), "");
    }
    server.put(format!("long/{}", "a".repeat(200)), "");
    server.put("long/aaaa", "");
    let mut ftp = server.login();
    assert!(!ftp.lines("NLST d").is_sorted());
    assert!(ftp.lines("NLST few").is_sorted());
    assert_eq!(ftp.lines("NLST long/a*"), ["long/aaaa"], "the other takes more than a hundred steps");
}

#[test]
fn rules_hold_where_links_lead_and_links_stay_useful() {
    for links in ["inside", "rooted"] {
        let config = format!("[files]\nsymlinks = \"{links}\"\n");
        let server = ruled(&config, &[("/x", "none"), ("/ro", "read"), ("/keep/own", "full")]);
        server.put("keep/own/f", "1");
        server.put("x/secret", "s");
        server.put("ro/f", "1");
        server.put("free/g", "2");
        for (target, name) in [("../x", "free/door"), ("ro", "r"), ("free", "go"), ("x/secret", "direct")] {
            symlink(target, server.path(name)).unwrap();
        }
        let mut ftp = server.login_as("a", "pw");
        for path in ["free/door/secret", "go/door/secret", "direct"] {
            for verb in ["RETR", "SIZE", "MLST", "STOR", "APPE", "SITE CHMOD 666", "MFMT 20200101000000"] {
                let _unused = ftp.epsv();
                ftp.say(format!("{verb} {path}")).expect(550);
            }
        }
        for line in ["CWD free/door", "LIST go/door/", "MLSD free/door", "DELE go/door/secret", "RNFR free/door/secret"]
        {
            let _unused = ftp.epsv();
            ftp.say(line).expect(550);
        }
        assert_eq!(ftp.fetch("RETR r/f"), b"1");
        for line in ["STOR r/f", "STOR r/new", "APPE r/f", "DELE r/f", "MKD r/d"] {
            let _unused = ftp.epsv();
            ftp.say(line).expect(550);
        }
        ftp.store("STOR go/new", b"3").expect(226);
        assert_eq!(server.get("free/new"), b"3");
        ftp.say("CWD go").expect(250);
        ftp.say("PWD").expect(257).says("\"/go\"");
        assert_eq!(ftp.fetch("RETR g"), b"2");
        ftp.say("CDUP").expect(250);
        ftp.say("PWD").expect(257).says("\"/\"");
        // Facts of what a link leads to are told by the rights there.
        let facts = ftp.lines("MLSD");
        let of = |name: &str| facts.iter().find(|line| line.ends_with(&format!(" {name}"))).unwrap();
        assert!(of("direct").starts_with("type=OS.unix=slink") && of("r").starts_with("type=dir"), "{facts:?}");
        assert!(!ftp.lines("LIST -L").iter().any(|line| line.starts_with('-') && line.ends_with(" direct")));
        // Nor can a rule be got rid of by renaming what it is about.
        for path in ["x", "ro", "keep", "keep/own"] {
            ftp.say(format!("RNFR {path}")).expect(550);
        }
        ftp.say("RNFR keep/own/f").expect(350);
        assert_eq!((server.get("x/secret"), server.get("ro/f")), (b"s".to_vec(), b"1".to_vec()));
    }
}
