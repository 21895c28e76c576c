//! `probe`: what it says of servers, and of what lies in between.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, getsockname, listen, socket_with};

use crate::fake::{Client, Fake, Talk, says};

struct Told {
    code: i32,
    text: String,
}

impl Told {
    /// The one line about something.
    #[track_caller]
    fn of(&self, name: &str) -> &str {
        let start = format!("{{\"name\":\"{name}\",");
        let mut lines = self.text.lines().filter(|line| line.starts_with(&start));
        let line = lines.next().unwrap_or_else(|| panic!("nothing of {name}: {}", self.text));
        assert_eq!(lines.next(), None, "{}", self.text);
        line
    }

    #[track_caller]
    fn says(&self, name: &str, works: &str, parts: &[&str]) {
        let line = self.of(name);
        assert!(line.contains(&format!("\"works\":{works},")), "{line}");
        assert!(parts.iter().all(|part| line.contains(part)), "{parts:?}: {line}");
    }
}

fn probe(options: &[&str], rule: impl Fn(&mut Talk, &str, &str) -> bool + Send + Sync + 'static) -> (Told, Fake) {
    let (fake, client) = (Fake::start(&[("a", b"hello")], rule), Client::new());
    let url = fake.url("");
    let arguments: Vec<&str> =
        ["-t", "3", "--json", "probe", &url].into_iter().chain(options.iter().copied()).collect();
    let output = client.run(&arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    eprintln!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.lines().all(|line| line.starts_with("{\"name\":") && line.ends_with('}')), "{text}");
    (Told { code: output.status.code().unwrap_or(-1), text }, fake)
}

/// Answers both ways with this port.
fn leads_to(port: u16) -> impl Fn(&mut Talk, &str, &str) -> bool + Send + Sync + 'static {
    move |talk, verb, _| {
        match verb {
            "EPSV" => talk.say(&format!("229 Entering (|||{port}|)")),
            "PASV" => talk.say(&format!("227 Entering (127,0,0,1,{},{})", port >> 8, port & 255)),
            _ => return false,
        }
        true
    }
}

fn bound(flags: SocketFlags) -> (OwnedFd, SocketAddr) {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = SocketAddr::try_from(getsockname(&socket).unwrap()).unwrap();
    (socket, at)
}

#[test]
fn a_server_that_is_well() {
    let (told, fake) = probe(&[], |_, _, _| false);
    assert_eq!(told.code, 0);
    told.says("login", "true", &[]);
    told.says("greeting", "null", &["fake ready"]);
    told.says("system", "null", &["UNIX Type: L8"]);
    told.says("MLSD", "true", &[]);
    told.says("UTF8", "false", &[]);
    told.says("HASH", "false", &[]);
    told.says("REST", "true", &["350 ok"]);
    told.says("EPSV", "true", &["works: 1 entries"]);
    told.says("PASV", "true", &["works: 1 entries"]);
    told.says("PASV address", "true", &["127.0.0.1"]);
    // The marker is taken back, and nobody is asked to connect to us.
    assert_eq!((fake.heard("REST 1"), fake.heard("REST 0"), fake.heard("PORT"), fake.heard("EPRT")), (1, 1, 0, 0));
}

#[test]
fn no_tls_no_rest_no_features() {
    let (told, _) = probe(&[], says(&[("AUTH", "502 no\r\n"), ("REST", "502 none\r\n"), ("FEAT", "500 what\r\n")]));
    assert_eq!(told.code, 0);
    told.says("FEAT", "false", &[]);
    told.says("REST", "false", &["\"code\":502", "not honoured", "502 none"]);
    if cfg!(feature = "tls") {
        told.says("TLS", "false", &["\"code\":502", "AUTH TLS is refused (502 no)", "in the clear"]);
    }
    let (told, fake) = probe(&["--tls", "off"], |_, _, _| false);
    told.says("TLS", "false", &["not offered", "in the clear"]);
    assert_eq!(fake.heard("AUTH"), 0);
}

#[test]
fn an_address_in_227_that_is_not_the_servers() {
    let (told, _) = probe(&[], |talk, verb, _| {
        verb == "PASV" && {
            let port = talk.listen();
            talk.say(&format!("227 Entering (10,9,8,7,{},{})", port >> 8, port & 255));
            true
        }
    });
    assert_eq!(told.code, 0);
    told.says("PASV", "true", &[]);
    told.says("PASV address", "false", &["10.9.8.7", "127.0.0.1"]);
}

#[test]
fn a_way_that_is_refused() {
    let (told, fake) = probe(&[], says(&[("EPSV", "500 what\r\n")]));
    assert_eq!(told.code, 0);
    told.says("EPSV", "false", &["\"code\":500", "refused by the server: 500 what"]);
    told.says("PASV", "true", &[]);
    assert_eq!(fake.heard("EPSV"), 1);
    let (told, _) = probe(&[], says(&[("EPSV", "500 what\r\n"), ("PASV", "502 nor that\r\n")]));
    assert_eq!(told.code, 6);
    told.says("PASV", "false", &["\"code\":502", "502 nor that"]);
    assert!(!told.text.contains("PASV address"), "{}", told.text);
    let (told, _) = probe(&[], says(&[("EPSV", "229 Entering (none)\r\n")]));
    told.says("EPSV", "false", &["no port in the answer: 229"]);
}

#[test]
fn a_port_that_refuses() {
    // Bound, so that it is nobody else's, and not listening.
    let (_closed, at) = bound(SocketFlags::CLOEXEC);
    let (told, _) = probe(&[], leads_to(at.port()));
    assert_eq!(told.code, 6);
    told.says("EPSV", "false", &["connection refused"]);
    told.says("PASV", "false", &["connection refused"]);
}

#[test]
fn a_port_that_is_silent() {
    // A queue that is full drops every SYN, as a firewall does.
    let (full, at) = bound(SocketFlags::CLOEXEC);
    listen(&full, 0).unwrap();
    let fillers: Vec<OwnedFd> = (0..4).map(|_| bound(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).0).collect();
    // In progress, or in the queue; which of them is of no interest.
    fillers.iter().map(|filler| connect(filler, &at)).for_each(|_| {});
    let (told, _) = probe(&[], leads_to(at.port()));
    assert_eq!(told.code, 6);
    told.says("EPSV", "false", &["timed out (a firewall in between?)"]);
    told.says("PASV", "false", &["timed out (a firewall in between?)"]);
}

#[test]
fn active_mode_when_asked_for() {
    let (told, fake) = probe(&["--active"], |_, _, _| false);
    assert_eq!(told.code, 0);
    told.says("PORT", "true", &["works"]);
    told.says("EPRT", "false", &["\"code\":500", "500 unknown"]);
    assert_eq!((fake.heard("PORT"), fake.heard("EPRT")), (1, 1));
    // The only way that works is enough.
    let (told, _) = probe(&["--active"], says(&[("EPSV", "500 no\r\n"), ("PASV", "500 no\r\n")]));
    assert_eq!(told.code, 0);
    let never: fn(&mut Talk, &str, &str) -> bool = |talk, verb, _| {
        verb == "MLSD" && talk.active.is_some() && {
            talk.say("150 soon");
            true
        }
    };
    let (told, _) = probe(&["--active"], never);
    told.says("PORT", "false", &["the server did not connect"]);
}

#[test]
fn codes_of_what_ends_it() {
    let (told, _) = probe(&[], says(&[("PASS", "530 no\r\n")]));
    assert_eq!(told.code, 4);
    told.says("login", "false", &["\"code\":530", "530 no"]);
    let (_closed, at) = bound(SocketFlags::CLOEXEC);
    let output = Client::new().run(&["-t", "3", "--json", "probe", &format!("ftp://{at}/")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("{\"name\":\"connection\",\"works\":false"));
    let (told, _) = probe(&[], says(&[("MLSD", "550 not for you\r\n")]));
    assert_eq!(told.code, 5);
}
