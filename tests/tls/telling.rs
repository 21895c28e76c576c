//! What the log says of TLS: of whom, and how often.

use std::io::Write;
use std::net::Shutdown;

use rustix::process::Signal;

use crate::client::{Client, Pair, VERSIONS, dress};
use crate::common::{Server, connect, is_closed};

fn whole_log(server: &Server) -> String {
    let mut log = String::new();
    server.signal(Signal::TERM);
    server.drain_log(&mut log);
    log
}

#[test]
fn a_session_that_resumes_nothing_is_named_once() {
    let pair = Pair::new();
    for version in VERSIONS {
        let server = pair.server("reuse = \"log\"", "");
        server.put("f", "x");
        let mut config = pair.client(version);
        config.resumption = rustls::client::Resumption::disabled();
        let mut ftp = Client::private(&server, config);
        let who = format!("anonymous@{}: ", ftp.socket().local_addr().unwrap());
        for _ in 0..3 {
            assert!(!ftp.fetch("RETR f").1);
        }
        let log = whole_log(&server);
        let told: Vec<&str> = log.lines().filter(|line| line.contains("does not resume")).collect();
        assert!(told.len() == 1 && told[0].contains(&who), "{who}\n{log}");
    }
}

#[test]
fn an_upload_that_ends_without_close_notify_is_named() {
    let pair = Pair::new();
    let server = pair.server("", "");
    let mut ftp = Client::private(&server, pair.client(VERSIONS[1]));
    let who = format!("anonymous@{}: ", ftp.socket().local_addr().unwrap());
    let data = ftp.data();
    ftp.say("STOR f", 150);
    let mut data = dress(&ftp.config, data).unwrap();
    data.write_all(b"bytes").unwrap();
    data.sock.shutdown(Shutdown::Write).unwrap();
    ftp.expect(226);
    let line = server.wait_for("ends without close_notify");
    assert!(line.contains(&who), "{who}\n{line}");
}

#[test]
fn whoever_is_shut_out_hears_nothing_in_the_clear_where_tls_comes_first() {
    let pair = Pair::new();
    let bans = "[limits]\nlogin_delay = \"0s\"\nlogin_attempts = 1\n[limits.bans]\nfailures = 1\nfor = \"1h\"\n";
    let tls = "[anonymous]\nenabled = true\n[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n\
        implicit = [\"127.0.0.1:0\"]\n";
    let accounts = format!("[[account]]\nname = \"ann\"\npassword = \"{}\"\n", crate::common::SECRET_HASH);
    let files = [("cert.pem", &*pair.chain_pem), ("key.pem", &*pair.key_pem), ("accounts.toml", accounts.as_str())];
    let server = Server::launch("127.0.0.1:0", &format!("{tls}{bans}"), &files, |command| command);
    let line = server.wait_for("(implicit TLS)");
    let address = line.trim_end_matches(" (implicit TLS)").rsplit(' ').next().unwrap().parse().unwrap();
    let mut guesser = server.connect();
    guesser.say("USER ann").expect(331);
    guesser.say("PASS wrong");
    server.wait_for("banned for");
    let line = {
        let mut banned = connect(address);
        assert!(is_closed(&mut banned), "closed without a word");
        server.wait_for("turned away, banned")
    };
    assert!(line.trim_end().ends_with("turned away, banned"), "nobody before: {line}");
}
