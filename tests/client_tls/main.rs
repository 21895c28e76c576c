//! The client in TLS against a server that can be as odd as the test wants.
#![cfg(feature = "tls")]

#[path = "../common/mod.rs"]
mod common;

mod fake;

use fake::{Authority, Fake, Oddity, client_of};

fn options<'a>(ca: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    ["-t", "5", "--retries", "0", "--ca-file", ca].into_iter().chain(rest.iter().copied()).collect()
}

#[test]
fn explicit_implicit_and_automatic() {
    let authority = Authority::new();
    for scheme in ["ftp", "ftpes", "ftps"] {
        let implicit = scheme == "ftps";
        let fake = Fake::start(&authority, "localhost", &[Oddity::Implicit][..usize::from(implicit)]);
        let client = client_of(&authority);
        let url = format!("{scheme}://localhost:{}/a", fake.port);
        assert_eq!(client.code(&options("ca.pem", &["get", &url])), 0, "{scheme}");
        assert_eq!(client.read("a").as_deref(), Some(b"hello".as_slice()));
        client.write("up", b"upward");
        let url = format!("{scheme}://localhost:{}/b", fake.port);
        assert_eq!(client.code(&options("ca.pem", &["put", "up", &url])), 0, "{scheme}");
        assert_eq!(fake.file("b").as_deref(), Some(b"upward".as_slice()));
        // In that order, and nothing of it in the clear.
        let heard = fake.heard();
        let at =
            |line: &str| heard.iter().position(|heard| heard == line).unwrap_or_else(|| panic!("{line}: {heard:?}"));
        assert!(at("tls USER anonymous") < at("tls PBSZ 0") && at("tls PBSZ 0") < at("tls PROT P"));
        assert!(heard.iter().all(|line| line.starts_with("tls ") || line == "AUTH TLS"), "{heard:?}");
    }
}

#[test]
fn data_connections_resume_the_control_session() {
    let authority = Authority::new();
    for oddity in [Oddity::Only12, Oddity::Only13] {
        let fake = Fake::start(&authority, "localhost", &[oddity, Oddity::Tickets(8)]);
        let client = client_of(&authority);
        let urls: Vec<String> = (0..6).map(|at| format!("ftp://localhost:{}/f{at}", fake.port)).collect();
        let mut arguments = vec!["-P", "1", "get"];
        arguments.extend(urls.iter().map(String::as_str));
        assert_eq!(client.code(&options("ca.pem", &arguments)), 0);
        assert_eq!((fake.resumed(), fake.full()), (6, 0), "{oddity:?}");
    }
}

/// So many small uploads, in so many sessions, all of which arrive.
#[track_caller]
fn puts_all(authority: &Authority, fake: &Fake, count: usize, parallel: &str) {
    let client = client_of(authority);
    let names: Vec<String> = (0..count).map(|at| format!("f{at}")).collect();
    names.iter().for_each(|name| client.write(name, b"upward"));
    let url = format!("ftp://localhost:{}/", fake.port);
    let mut arguments = vec!["-P", parallel, "put"];
    arguments.extend(names.iter().map(String::as_str).chain([url.as_str()]));
    let output = client.run(&options("ca.pem", &arguments));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{parallel} sessions: {said}");
    assert!(names.iter().all(|name| fake.file(name).as_deref() == Some(b"upward")));
}

#[test]
fn a_server_that_wants_resumption_when_there_are_no_tickets_left() {
    // In TLS 1.3 each ticket serves once. TLS 1.2 has no such end; where it is missing, new sessions bring new tickets.
    let authority = Authority::new();
    for only13 in [false, true] {
        // Several sessions find it out at the same time.
        for parallel in ["1", "4"] {
            let oddities = [Oddity::Tickets(2), Oddity::RequireResumption, Oddity::Only13];
            let fake = Fake::start(&authority, "localhost", &oddities[..2 + usize::from(only13)]);
            puts_all(&authority, &fake, 12, parallel);
        }
    }
}

#[test]
fn c08_replies_injected_behind_234_are_refused() {
    let authority = Authority::new();
    for injected in ["230 in already\r\n", "220 hello\r\n", "junk\r\n", "331"] {
        let fake = Fake::start(&authority, "localhost", &[Oddity::Inject(injected)]);
        let client = client_of(&authority);
        let url = format!("ftpes://localhost:{}/a", fake.port);
        assert_eq!(client.code(&options("ca.pem", &["get", &url])), 3, "{injected}");
        assert_eq!((fake.heard(), client.read("a")), (vec!["AUTH TLS".to_owned()], None), "{injected}");
    }
}

#[test]
fn c09_tls_that_is_stripped_is_not_gone_without() {
    let authority = Authority::new();
    for oddity in [Oddity::NoAuth, Oddity::Greeting("230 in already"), Oddity::Greeting("230-a\r\n230 b")] {
        let fake = Fake::start(&authority, "localhost", &[oddity]);
        let client = client_of(&authority);
        for (scheme, extra) in [("ftpes", None), ("ftp", Some("required"))] {
            let url = format!("{scheme}://ann:secret@localhost:{}/a", fake.port);
            let mut arguments = vec!["get", &url];
            arguments.extend(extra.into_iter().flat_map(|mode| ["--tls", mode]));
            assert_eq!(client.code(&options("ca.pem", &arguments)), 3, "{oddity:?}");
        }
        assert!(!fake.heard().iter().any(|line| line.contains("USER") || line.contains("PASS")), "{:?}", fake.heard());
    }
}

#[test]
fn automatic_goes_on_in_the_clear_only_when_auth_is_refused_and_says_so() {
    let authority = Authority::new();
    let fake = Fake::start(&authority, "localhost", &[Oddity::NoAuth]);
    let client = client_of(&authority);
    let url = format!("ftp://localhost:{}/a", fake.port);
    let output = client.run(&options("ca.pem", &["get", &url]));
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("in the clear"));
    // Whoever pins a certificate wants one to be shown.
    let pin = "0".repeat(64);
    assert_eq!(client.code(&["-t", "5", "--retries", "0", "--pin", &pin, "get", &url, "-o", "y"]), 3);
    assert!(!fake.heard().iter().skip_while(|line| !line.starts_with("QUIT")).any(|line| line.starts_with("USER")));
    // A certificate that is not accepted is no refusal of AUTH.
    let fake = Fake::start(&Authority::new(), "localhost", &[]);
    let url = format!("ftp://localhost:{}/a", fake.port);
    assert_eq!(client.code(&options("ca.pem", &["get", &url, "-o", "x"])), 3);
    assert_eq!((fake.heard(), client.read("x")), (vec!["AUTH TLS".to_owned()], None));
}

#[test]
fn prot_p_refused_is_the_end() {
    let authority = Authority::new();
    let client = client_of(&authority);
    for reply in ["536 not that", "534 no", "504 no", "431 not now", "500 what", "502 no"] {
        let fake = Fake::start(&authority, "localhost", &[Oddity::Refuses("PROT", reply)]);
        for scheme in ["ftp", "ftpes"] {
            let url = format!("{scheme}://localhost:{}/a", fake.port);
            assert_eq!(client.code(&options("ca.pem", &["get", &url])), 3, "{reply}");
        }
        assert!(!fake.heard().iter().any(|line| line.contains("EPSV") || line.contains("RETR")), "{:?}", fake.heard());
    }
}

#[test]
fn pbsz_says_nothing_whatever_its_answer() {
    let authority = Authority::new();
    let client = client_of(&authority);
    for reply in ["200 fine", "500 what", "503 not now", "501 no"] {
        let fake = Fake::start(&authority, "localhost", &[Oddity::Refuses("PBSZ", reply)]);
        let url = format!("ftpes://localhost:{}/a", fake.port);
        assert_eq!(client.code(&options("ca.pem", &["get", &url, "-o", "x"])), 0, "{reply}");
        assert!(fake.heard().contains(&"tls PROT P".to_owned()), "{:?}", fake.heard());
    }
}

#[test]
fn sessions_without_tickets_are_left_before_a_transfer_is_refused() {
    let authority = Authority::new();
    // With the greeting of a server that takes commands behind transfers, too: two transfers a session, two tickets.
    for (greeting, parallel) in [("220 fake", "1"), ("220 miniftpd ready", "1"), ("220 miniftpd ready", "8")] {
        let (wants, greets) = (Oddity::RequireResumption, Oddity::Greeting(greeting));
        let fake = Fake::start(&authority, "localhost", &[Oddity::Tickets(2), wants, Oddity::Only13, greets]);
        puts_all(&authority, &fake, 40, parallel);
        // Once is how it is found out; what is under way elsewhere at that moment finds it out as well.
        let most = if parallel == "1" { 1 } else { 16 };
        assert!(fake.full() <= most, "{} data connections without a ticket, {parallel} sessions", fake.full());
    }
}

#[test]
fn c10_certificates_that_are_not_accepted() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let client = client_of(&authority);
    for (what, fake) in [
        ("unknown authority", Fake::start(&stranger, "localhost", &[])),
        ("wrong name", Fake::start(&authority, "elsewhere.example", &[])),
        ("expired", Fake::start(&authority, "localhost", &[Oddity::Expired])),
        ("another on data", Fake::start(&authority, "localhost", &[Oddity::OtherOnData])),
    ] {
        let url = format!("ftpes://localhost:{}/a", fake.port);
        let output = client.run(&options("ca.pem", &["get", &url]));
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), client.read("a")), (Some(3), None), "{what}: {text}");
        if what != "another on data" {
            assert!(["--ca-file", "--pin", "--insecure"].iter().all(|name| text.contains(name)), "{what}: {text}");
            assert_eq!(fake.heard(), ["AUTH TLS"], "{what}");
        }
    }
    // The system knows none of them either.
    let fake = Fake::start(&authority, "localhost", &[]);
    let url = format!("ftpes://localhost:{}/a", fake.port);
    assert_eq!(client.code(&["-t", "5", "--retries", "0", "get", &url]), 3);
}

#[test]
fn pins_and_no_check_at_all() {
    let fake = Fake::start(&Authority::new(), "elsewhere.example", &[]);
    let client = client_of(&Authority::new());
    let url = format!("ftpes://127.0.0.1:{}/a", fake.port);
    let pin = format!("sha256 {}", fake.fingerprint());
    let wrong = "sha256 ".to_owned() + &"0".repeat(64);
    let base = ["-t", "5", "--retries", "0", "get", &url];
    let code = |extra: &[&str]| client.code(&[&base[..], extra].concat());
    assert_eq!(code(&["--pin", &wrong]), 3);
    assert_eq!(code(&["--pin", "nonsense"]), 1);
    assert_eq!(code(&["--pin", &pin]), 0);
    assert_eq!(code(&["--pin", &fake.fingerprint().to_uppercase()]), 0);
    assert_eq!(code(&["--insecure"]), 0);
    assert_eq!(code(&["--ca-file", "absent.pem"]), 7);
    // A named authority must hold as well.
    assert_eq!(code(&["--pin", &pin, "--ca-file", "ca.pem"]), 3);
}

#[test]
fn a_certificate_that_signs_itself_may_be_named() {
    // As `openssl req -x509` makes them: an authority and a server in one.
    let authority = Authority::new();
    let fake = Fake::start(&authority, "localhost", &[Oddity::SelfSigned]);
    let client = client_of(&authority);
    client.write("self.pem", fake.pem().as_bytes());
    let named = |host: &str| format!("ftpes://{host}:{}/a", fake.port);
    assert_eq!(client.code(&options("self.pem", &["get", &named("localhost")])), 0);
    assert_eq!(client.code(&options("ca.pem", &["get", &named("localhost")])), 3);
    assert_eq!(client.code(&options("self.pem", &["get", &named("127.0.0.1")])), 3);
}

#[test]
fn a_certificate_of_our_own() {
    let authority = Authority::new();
    let fake = Fake::start(&authority, "localhost", &[Oddity::WantsOurs]);
    let client = client_of(&authority);
    let url = format!("ftpes://localhost:{}/a", fake.port);
    assert_ne!(client.code(&options("ca.pem", &["get", &url])), 0);
    assert_eq!(client.code(&options("ca.pem", &["--cert", "own.pem", "--key", "own.key", "get", &url])), 0);
    assert_eq!(client.code(&options("ca.pem", &["--cert", "own.pem", "get", &url])), 1);
}

#[test]
fn c12_data_without_close_notify_is_cut() {
    let authority = Authority::new();
    for size in ["550 who knows", "213 9", "213 3"] {
        let fake = Fake::start(&authority, "localhost", &[Oddity::Cut, Oddity::Refuses("SIZE", size)]);
        let client = client_of(&authority);
        let url = format!("ftpes://localhost:{}/a", fake.port);
        assert_eq!(client.code(&options("ca.pem", &["get", &url])), 6, "{size}");
        let kept = client.read("a.part");
        assert_eq!((client.read("a"), kept.as_deref()), (None, Some(b"hello".as_slice())), "{size}");
    }
}

#[test]
fn data_without_close_notify_is_whole_where_size_says_so() {
    let authority = Authority::new();
    let fake = Fake::start(&authority, "localhost", &[Oddity::Cut]);
    let client = client_of(&authority);
    let url = format!("ftpes://localhost:{}/a", fake.port);
    let output = client.run(&options("ca.pem", &["-v", "get", &url]));
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(client.read("a").as_deref(), Some(b"hello".as_slice()));
    assert!(String::from_utf8_lossy(&output.stderr).contains("without TLS's farewell; all 5 bytes"));
}

#[test]
fn a_listing_without_close_notify_is_shown_and_deletes_nothing() {
    let authority = Authority::new();
    let fake = Fake::start(&authority, "localhost", &[Oddity::Cut]);
    let client = client_of(&authority);
    let url = format!("ftpes://localhost:{}/", fake.port);
    let output = client.run(&options("ca.pem", &["ls", &url]));
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), b"hello\n".as_slice()));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there may be more"));
    client.write("mine", b"mine");
    // A copy that may lack something is no success.
    assert_eq!(client.code(&options("ca.pem", &["--delete", "mirror", &url, "."])), 10);
    assert_eq!((client.read("hello"), client.read("mine")), (Some(b"hello".to_vec()), Some(b"mine".to_vec())));
}

#[test]
fn silence_in_a_handshake_is_bounded() {
    let authority = Authority::new();
    for oddity in [Oddity::SilentHandshake, Oddity::SilentData] {
        let fake = Fake::start(&authority, "localhost", &[oddity]);
        let client = client_of(&authority);
        let url = format!("ftpes://localhost:{}/a", fake.port);
        assert_eq!(client.code(&["-t", "1", "--retries", "0", "--ca-file", "ca.pem", "get", &url]), 8, "{oddity:?}");
    }
}

#[test]
fn the_load_tester_is_encrypted_too() {
    let authority = Authority::new();
    for (scheme, tls) in [("ftp", "required"), ("ftps", "required"), ("ftpes", "required")] {
        let implicit = scheme == "ftps";
        let fake = Fake::start(&authority, "localhost", &[Oddity::Implicit][..usize::from(implicit)]);
        let options = ["--json", "--tls", tls, "--scenario", "get", "--clients", "2", "--duration", "0.5"];
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_miniftp-load"));
        let output = command.args(options).arg(format!("{scheme}://127.0.0.1:{}/a", fake.port)).output().unwrap();
        let report = serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
        assert_eq!((output.status.code(), report["errors"].to_string().as_str()), (Some(0), "{}"), "{report}");
        assert_eq!(report["phases"]["TLS"]["count"], 2, "{report}");
        assert_eq!(report["phases"]["login"]["count"], 2, "{report}");
        let heard = fake.heard();
        assert!(heard.iter().all(|line| line.starts_with("tls ") || line == "AUTH TLS"), "{heard:?}");
        assert!(heard.iter().any(|line| line == "tls PROT P") && heard.iter().any(|line| line == "tls RETR a"));
    }
}

#[test]
fn a_server_without_tls_is_no_server_for_the_load_tester() {
    let authority = Authority::new();
    let fake = Fake::start(&authority, "localhost", &[Oddity::NoAuth]);
    let options = ["--json", "--tls", "required", "--clients", "1", "--duration", "0.2"];
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_miniftp-load"));
    let output = command.args(options).arg(format!("ftp://127.0.0.1:{}/", fake.port)).output().unwrap();
    let report = serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = report["errors"].as_object().unwrap();
    assert_eq!(errors.keys().collect::<Vec<_>>(), ["TLS"], "{report}");
    assert!(fake.heard().iter().all(|line| !line.starts_with("USER")), "no name in the clear");
}

#[test]
fn probe_says_what_protects_and_whom_it_trusts() {
    let authority = Authority::new();
    let fake = Fake::start(&authority, "localhost", &[]);
    let client = client_of(&authority);
    let url = format!("ftp://localhost:{}/", fake.port);
    for (trust, verdict) in [(&["--ca-file", "ca.pem"][..], "is verified"), (&["--insecure"], "NOT verified")] {
        let output = client.run(&[&["-t", "5", "probe", &url][..], trust].concat());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        let line = said.lines().find(|line| line.starts_with("TLS ")).unwrap_or_default();
        assert!(["TLS 1.3, TLS13_", "sha256 ", verdict].iter().all(|part| line.contains(part)), "{said}");
    }
    let fake = Fake::start(&authority, "localhost", &[Oddity::SelfSigned]);
    let url = format!("ftp://localhost:{}/", fake.port);
    let output = client.run(&options("ca.pem", &["probe", &url]));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.starts_with("TLS ") && said.contains("not accepted") && said.contains("sha256 "), "{said}");
    assert!(!fake.heard().iter().any(|line| line.contains("USER")), "{:?}", fake.heard());
}
