//! Homes and rules: a path has them whatever its spelling, and a link is no way around them.

use std::fs;
use std::os::unix::fs::symlink;

use crate::common::{SECRET_HASH, Server};
use crate::{ONE_WALL, SECRET, refused, refused_rename};

#[test]
fn p16_a_home_is_no_prefix() {
    let hash = "*";
    let accounts = format!("[[account]]\nname = \"a\"\npassword = \"{hash}\"\nhome = \"root\"\n");
    let text = format!("[anonymous]\nenabled = true\npermissions = \"full\"\n{ONE_WALL}");
    let server = Server::with_accounts(&text, &accounts);
    let twin = server.root().with_file_name("root2");
    fs::create_dir(&twin).unwrap();
    fs::write(twin.join("secret"), SECRET).unwrap();
    symlink("../root2", server.path("twin")).unwrap();
    let mut ftp = server.login();
    for path in ["../root2/secret", "/../root2/secret", "2/secret", "../root/../root2/secret", "twin/secret"] {
        refused(&mut ftp, &format!("RETR {path}"));
    }
    // No hash, no login.
    let mut a = server.connect();
    a.say("USER a").expect(331);
    a.say("PASS *").expect(530);
}

#[test]
fn p18_rules_hold_for_every_spelling_of_a_path() {
    let text = "[anonymous]\nenabled = false\n";
    let accounts = format!(
        "[[account]]\nname = \"a\"\npassword = \"{}\"\nhome = \"root\"\npermissions = \"full\"\n\
         [[account.rule]]\npath = \"/x\"\npermissions = \"none\"\n[[account.rule]]\npath = \"/x/open\"\npermissions = \"read\"\n",
        SECRET_HASH
    );
    let server = Server::with_accounts(text, &accounts);
    server.put("x/secret", SECRET);
    server.put("x/open/f", "1");
    server.put("xy/f", "2");
    fs::create_dir(server.path("y")).unwrap();
    symlink("x", server.path("alias")).unwrap();
    let mut ftp = server.login_as("a", "secret");
    for path in [
        "x/secret",
        "//x//secret",
        "/x/./secret",
        "y/../x/secret",
        "/x/open/../secret",
        "../x/secret",
        "xy/../x/secret",
    ] {
        for verb in ["RETR", "SIZE", "MLST", "STOR", "APPE", "DELE", "RNFR", "SITE CHMOD 600", "MFMT 20200101000000"] {
            refused(&mut ftp, &format!("{verb} {path}"));
        }
    }
    for verb in ["LIST", "NLST", "MLSD", "CWD", "STAT"] {
        for path in ["x", "/x/", "x/.", "y/../x"] {
            refused(&mut ftp, &format!("{verb} {path}"));
        }
    }
    assert_eq!(ftp.fetch("RETR x/open/f"), b"1");
    assert_eq!(ftp.fetch("RETR xy/f"), b"2", "/x is no prefix of /xy");
    refused(&mut ftp, "STOR x/open/new");
    ftp.say("RNFR xy/f").expect(350);
    refused_rename(&mut ftp, "x/f");
    ftp.say("RNFR xy/f").expect(350);
    refused_rename(&mut ftp, "y/../x/open/f");
    // A client's own link must not lead around a rule.
    assert_eq!(server.get("x/secret"), SECRET);
    assert_eq!(server.get("xy/f"), b"2");
}

#[test]
fn a_link_is_no_way_around_a_rule() {
    let accounts = format!(
        "[[account]]\nname = \"a\"\npassword = \"{}\"\nhome = \"root\"\npermissions = \"full\"\n\
         [[account.rule]]\npath = \"/x\"\npermissions = \"none\"\n",
        SECRET_HASH
    );
    let server = Server::with_accounts("", &accounts);
    server.put("x/secret", SECRET);
    let mut ftp = server.login_as("a", "secret");
    for (target, link) in [("x", "alias"), ("x/secret", "f")] {
        ftp.say(format!("SITE SYMLINK {target} {link}"));
    }
    for line in
        ["RETR alias/secret", "RETR f", "SIZE f", "LIST alias/", "CWD alias", "STOR f", "APPE f", "DELE alias/secret"]
    {
        refused(&mut ftp, line);
    }
    assert_eq!(server.get("x/secret"), SECRET);
}
