//! The session without sockets: lines and reports in, replies and orders out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;

use super::faults::{ReplyTo, words};
use super::state::{Member, Opening, TRANSITIONS, Work};
use super::{Input, Output, Patience, Session, Stage, Verdict};
use crate::codec::{Algorithm, Hasher};
use crate::filesystem::{Fault as FileFault, Rights, Rules, Stat, VirtualPath};
use crate::server::realm::{GUEST, Rates, Realm, Seat};
use crate::server::settings::Settings;
use crate::server::world::World;
use crate::transfer::{Fault, Found, Notice, Order, Protection, Report};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A session, what surrounds it, and what it said last.
struct Dialogue {
    session: Session,
    world: World,
    out: Vec<Output>,
    home: tempfile::TempDir,
}

impl Dialogue {
    fn begin() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        std::fs::write(home.path().join("a.bin"), b"hello").expect("a file");
        let rules = || Rules::uniform(Rights::parse("full").expect("a preset"));
        let realm = |name: &str| Rc::new(Realm::new(name, home.path().to_owned(), rules()));
        let world = World {
            anonymous: Some(realm(GUEST)),
            accounts: HashMap::from([("ann".into(), realm("ann"))]),
            ..World::empty(Settings::default())
        };
        let peer = SocketAddr::new(HERE, 40_000);
        Self { session: Session::new(peer, HERE), world, out: Vec::new(), home }
    }

    /// A guest who is in.
    fn guest() -> Self {
        let mut dialogue = Self::begin();
        assert_eq!(dialogue.say("USER anonymous"), [331]);
        assert_eq!(dialogue.say("PASS me@"), [230]);
        dialogue
    }

    fn feed(&mut self, input: Input) -> Vec<u16> {
        self.out.clear();
        self.session.handle(input, &mut Stage { world: &self.world, out: &mut self.out });
        let code = |wish: &Output| match wish {
            Output::Reply(reply) => Some(reply.code),
            _ => None,
        };
        self.out.iter().filter_map(code).collect()
    }

    fn say(&mut self, line: &str) -> Vec<u16> {
        self.feed(Input::Line(line.as_bytes().to_vec()))
    }

    fn ordered(&self, wanted: impl Fn(&Order) -> bool) -> bool {
        self.out.iter().any(|wish| matches!(wish, Output::Order(order) if wanted(order)))
    }

    /// What the last replies look like on the wire.
    fn text(&self) -> String {
        let mut text = Vec::new();
        for wish in &self.out {
            if let Output::Reply(reply) = wish {
                reply.encode(&mut text);
            }
        }
        String::from_utf8(text).expect("text")
    }

    fn hung_up(&self) -> bool {
        self.out.iter().any(|wish| matches!(wish, Output::HangUp))
    }

    fn state(&self) -> String {
        self.session.state().to_string()
    }

    /// PASV, answered by the DTP.
    fn passive(&mut self) {
        assert_eq!(self.say("PASV"), [0_u16; 0]);
        assert_eq!(self.state(), "Member/Promising");
        assert_eq!(self.feed(Input::Report(Report::Promised(SocketAddr::new(HERE, 50_000)))), [227]);
    }

    fn done(&mut self, result: Result<(), Fault>) -> Vec<u16> {
        self.feed(Input::Report(Report::Done { moved: 5, elapsed: Duration::ZERO, result }))
    }
}

#[test]
fn a_password_goes_to_the_verifier_and_its_verdict_decides() {
    let mut ftp = Dialogue::begin();
    assert_eq!(ftp.feed(Input::Hello), [220]);
    assert_eq!(ftp.say("USER ann"), [331]);
    assert_eq!(ftp.say("PASS secret"), [0_u16; 0]);
    assert!(matches!(&ftp.out[..], [Output::Check { user, .. }] if &**user == b"ann"));
    assert_eq!(ftp.state(), "Checking");
    assert_eq!(ftp.session.patience(&ftp.world), Patience::Endless);
    assert_eq!(ftp.feed(Input::Verdict(Verdict::Right)), [230]);
    assert_eq!(ftp.session.user(), Some("ann"));
}

#[test]
fn wrong_passwords_wait_longer_each_time_and_the_third_closes() {
    let mut ftp = Dialogue::begin();
    for (seconds, reply) in [(2, 530), (3, 530), (4, 421)] {
        assert_eq!(ftp.say("USER nobody"), [331]);
        ftp.say("PASS x");
        assert_eq!(ftp.feed(Input::Verdict(Verdict::Wrong)), [0_u16; 0]);
        assert_eq!(ftp.session.patience(&ftp.world), Patience::Penalty(Duration::from_secs(seconds)));
        assert_eq!(ftp.feed(Input::Expired), [reply]);
    }
    assert!(ftp.hung_up());
}

#[test]
fn a_lost_verifier_is_no_wrong_password() {
    let mut ftp = Dialogue::begin();
    ftp.say("USER ann");
    ftp.say("PASS secret");
    assert_eq!(ftp.feed(Input::Verdict(Verdict::Lost)), [451]);
    assert_eq!(ftp.state(), "Stranger");
}

#[test]
fn the_transfer_is_opened_before_it_runs_and_closed_by_the_report() {
    let mut ftp = Dialogue::guest();
    ftp.passive();
    assert_eq!(ftp.say("RETR a.bin"), [150]);
    assert!(ftp.ordered(|order| matches!(order, Order::Begin(_, None, Protection::Clear))));
    assert!(!ftp.session.state().takes_lines());
    assert_eq!(ftp.done(Ok(())), [226]);
    assert_eq!(ftp.say("RETR a.bin"), [425], "a data connection serves once");
}

#[test]
fn every_fault_of_the_data_side_has_its_code() {
    use crate::transfer::Fault as F;
    let faults = [
        (F::NeverConnected, 425),
        (F::Lost(std::io::ErrorKind::ConnectionReset), 426),
        (F::Stalled, 426),
        (F::Noise, 426),
        (F::Truncated, 451),
        (F::Local(rustix::io::Errno::IO), 451),
        (F::DiskFull, 452),
        (F::OverQuota, 552),
    ];
    let mut ftp = Dialogue::guest();
    for (fault, code) in faults {
        ftp.passive();
        ftp.say("STOR up");
        assert_eq!(ftp.done(Err(fault)), [code], "{fault}");
        assert_eq!(ftp.state(), "Member/Idle");
    }
}

#[test]
fn abor_is_answered_twice_and_in_its_turn() {
    let mut ftp = Dialogue::guest();
    ftp.passive();
    ftp.say("RETR a.bin");
    assert_eq!(ftp.feed(Input::Interrupt), [0_u16; 0]);
    assert!(ftp.ordered(|order| matches!(order, Order::Abort)));
    assert_eq!(ftp.state(), "Member/Aborting");
    assert_eq!(ftp.done(Err(Fault::Aborted)), [426]);
    assert_eq!(ftp.say("NOOP"), [200], "what stood before ABOR comes first");
    assert_eq!(ftp.say("ABOR"), [226]);
    assert_eq!(ftp.say("ABOR"), [225]);
}

#[test]
fn the_marker_outlives_what_clients_put_in_between_and_serves_once() {
    let mut ftp = Dialogue::guest();
    assert_eq!(ftp.say("REST 99"), [350]);
    for line in ["TYPE I", "SIZE a.bin", "MDTM a.bin", "NOOP", "PRET RETR a.bin"] {
        ftp.say(line);
    }
    ftp.passive();
    assert_eq!(ftp.say("RETR a.bin"), [554]);
    assert_eq!(ftp.say("RETR a.bin"), [150], "the data connection was not used up, the marker was");
}

#[test]
fn draining_waits_for_the_transfer_and_no_longer() {
    let mut idle = Dialogue::guest();
    assert_eq!(idle.feed(Input::Drain), [421]);
    assert!(idle.hung_up());

    let mut busy = Dialogue::guest();
    busy.passive();
    busy.say("RETR a.bin");
    busy.world.draining = true;
    assert_eq!(busy.feed(Input::Drain), [0_u16; 0]);
    assert_eq!(busy.done(Ok(())), [226, 421]);
    assert!(busy.hung_up());
}

/// A HASH that a scan has to be made for.
fn hashing() -> Dialogue {
    let mut ftp = Dialogue::guest();
    assert_eq!(ftp.say("HASH a.bin"), [0_u16; 0]);
    assert!(ftp.ordered(|order| matches!(order, Order::Scan(_))));
    assert_eq!(ftp.state(), "Member/Computing");
    ftp
}

fn sum() -> Found {
    Found::Digest(Hasher::new(Algorithm::Md5).finish())
}

#[test]
fn who_waits_for_a_digest_hears_that_it_is_being_made() {
    let mut ftp = hashing();
    assert_eq!(ftp.session.patience(&ftp.world), Patience::Remark(Duration::from_secs(6)));
    ftp.feed(Input::Expired);
    ftp.feed(Input::Expired);
    assert_eq!(ftp.text(), " Still computing.\r\n");
    ftp.feed(Input::Report(Report::Scanned(Ok(sum()))));
    assert_eq!(ftp.text(), "213 MD5 0-4 d41d8cd98f00b204e9800998ecf8427e a.bin\r\n");
    assert_eq!(ftp.state(), "Member/Idle");

    let mut first = hashing();
    first.feed(Input::Expired);
    assert_eq!(first.text(), "213-Computing, one moment.\r\n");
    first.feed(Input::Report(Report::Scanned(Err(Fault::Truncated))));
    assert!(first.text().starts_with("213 Not computed: "), "a reply ends as what it began as");

    let mut x = Dialogue::guest();
    x.say("XMD5 a.bin");
    assert_eq!(x.session.patience(&x.world), Patience::Endless, "its clients expect one line");
}

#[test]
fn a_digest_can_be_aborted_and_its_file_may_fail() {
    let mut ftp = hashing();
    assert!(ftp.session.interruptible());
    assert_eq!(ftp.feed(Input::Interrupt), [451]);
    assert!(ftp.ordered(|order| matches!(order, Order::Abort)));
    assert_eq!(ftp.say("ABOR"), [226]);
    assert_eq!(ftp.feed(Input::Report(Report::Scanned(Ok(sum())))), [0_u16; 0], "it came too late");

    let mut ftp = hashing();
    assert_eq!(ftp.feed(Input::Report(Report::Scanned(Err(Fault::Local(rustix::io::Errno::IO))))), [451]);
}

/// Found by fuzzing.
#[test]
fn a_reply_that_has_begun_ends_before_the_last_words() {
    for end in [Input::Drain, Input::Stop] {
        let mut ftp = hashing();
        ftp.feed(Input::Expired);
        assert_eq!(ftp.text(), "213-Computing, one moment.\r\n");
        ftp.feed(end);
        let words = "Server is shutting down.";
        assert_eq!(ftp.text(), format!("213 Not computed: {words}\r\n421 {words}\r\n"));
        assert!(ftp.hung_up());
    }
}

#[test]
fn what_is_remembered_is_not_read_again() {
    let mut ftp = Dialogue::guest();
    let stat = Stat::of(std::fs::File::open(ftp.home.path().join("a.bin")).expect("a file")).expect("its facts");
    let Found::Digest(remembered) = sum() else { panic!("a digest") };
    ftp.world.digests.remember(&stat, remembered);
    ftp.say("OPTS HASH MD5");
    assert_eq!(ftp.say("HASH a.bin"), [213]);
    assert_eq!(ftp.text(), "213 MD5 0-4 d41d8cd98f00b204e9800998ecf8427e a.bin\r\n");
    assert_eq!(ftp.say("XMD5 a.bin"), [250]);
    assert_eq!(ftp.say("MFMT 20240229120000 a.bin"), [213]);
    assert_eq!(ftp.say("HASH a.bin"), [213], "the time is another, the contents are not");
    assert_eq!([ftp.say("RNFR a.bin"), ftp.say("RNTO b.bin")], [[350], [250]]);
    assert_eq!(ftp.say("HASH b.bin"), [213], "nor is it the name that counts");
    ftp.say("OPTS HASH CRC32");
    assert_eq!(ftp.say("HASH b.bin"), [0_u16; 0], "another algorithm");
    ftp.say("RANG 0 1");
    ftp.feed(Input::Report(Report::Scanned(Ok(sum()))));
    ftp.say("OPTS HASH MD5");
    ftp.say("RANG 0 1");
    assert_eq!(ftp.say("HASH b.bin"), [0_u16; 0], "a part of it");
    ftp.feed(Input::Report(Report::Scanned(Ok(sum()))));
    ftp.passive();
    ftp.say("APPE b.bin");
    assert!(ftp.world.digests.is_empty(), "it is being written");
}

#[test]
fn a_session_does_not_grow_for_what_few_of_them_do() {
    assert!(size_of::<Session>() <= 192, "{}", size_of::<Session>());
}

#[test]
fn a_seat_is_given_back_however_the_session_ends() {
    let mut ftp = Dialogue::guest();
    let realm = Rc::clone(ftp.world.anonymous.as_ref().expect("guests"));
    assert_eq!(realm.sessions(), 1);
    ftp.say("USER ann");
    assert_eq!(realm.sessions(), 0);
    ftp.say("USER ftp");
    ftp.say("PASS x");
    assert_eq!(realm.sessions(), 1);
    drop(ftp);
    assert_eq!(realm.sessions(), 0);
}

#[test]
fn the_printed_table_names_states_that_exist_and_leaves_none_out() {
    let all = [
        "Stranger",
        "Named",
        "Checking",
        "Penalised",
        "Switching",
        "Leaving",
        "Member/Idle",
        "Member/Renaming",
        "Member/Promising",
        "Member/Transferring",
        "Member/Aborting",
        "Member/Computing",
        "Member/Switching",
    ];
    for (from, _, to) in TRANSITIONS {
        for name in from.split(", ").filter(|name| !name.ends_with('*')) {
            assert!(all.contains(&name), "{name}");
        }
        assert!(all.contains(to), "{to}");
    }
    for name in all {
        assert!(name == "Stranger" || TRANSITIONS.iter().any(|(_, _, to)| *to == name), "no way into {name}");
    }
}

#[test]
fn a_client_that_opens_with_pwd_hears_of_its_port_in_a_moment() {
    for (lines, notice) in [
        (&["PWD"][..], Notice::InAMoment),
        (&["PWD", "CWD /", "PWD", "TYPE I"], Notice::InAMoment),
        (&["SYST", "PWD"], Notice::AtOnce),
        (&[], Notice::AtOnce),
    ] {
        let mut ftp = Dialogue::guest();
        lines.iter().for_each(|line| drop(ftp.say(line)));
        assert_eq!(ftp.say("EPSV"), [0_u16; 0]);
        assert!(ftp.ordered(|order| matches!(order, Order::Promise(told) if *told == notice)), "{lines:?}");
    }
}

/// TLS as it is configured; the world has keys for it or not.
#[cfg(feature = "tls")]
fn under_tls(identity: crate::server::settings::Identity) -> crate::server::settings::TlsSettings {
    crate::server::settings::TlsSettings {
        identity,
        require: crate::server::settings::Require::None,
        implicit: Vec::new(),
        reuse: crate::server::settings::Reuse::Log,
        minimum: crate::server::settings::Minimum::Tls12,
        client_ca: None,
        client_login: false,
        ccc: false,
        strict_close: false,
        files: Vec::new(),
    }
}

#[cfg(feature = "tls")]
#[test]
fn auth_with_a_certificate_that_cannot_be_used_changes_nothing() {
    use crate::server::tls::{Keyring, self_signed};
    let tls = under_tls(self_signed().expect("a certificate"));
    let mut ftp = Dialogue::guest();
    ftp.world.settings = Rc::new(Settings { tls: Some(tls.clone()), ..Settings::default() });
    assert_eq!(ftp.say("AUTH KERBEROS_V4"), [504]);
    assert_eq!(ftp.say("AUTH TLS"), [431]);
    assert!(!ftp.out.iter().any(|wish| matches!(wish, Output::Secure(_))));
    assert_eq!(ftp.say("PBSZ 0"), [503], "there is no TLS");
    assert_eq!(ftp.say("PWD"), [257], "and who was in is in");
    ftp.world.keyring = Some(Rc::new(Keyring::new(&tls).expect("a keyring")));
    assert_eq!(ftp.say("AUTH TLS"), [234]);
    assert!(ftp.out.iter().any(|wish| matches!(wish, Output::Secure(_))));
}

#[test]
fn what_the_system_forbids_is_told_to_those_who_may_see_the_name() {
    let home = tempfile::tempdir().expect("a directory");
    let told = |rights: &str| {
        let rules = Rules::uniform(Rights::parse(rights).expect("letters"));
        let realm = Rc::new(Realm::new("ann", home.path().to_owned(), rules));
        let seat = Seat::take(&realm, Rates::default()).expect("a seat");
        let (cwd, opening, work) = (VirtualPath::root(), Opening::Unsaid, Work::Idle);
        let member = Member { seat, cwd, opening, work };
        let reply = member.faulted(FileFault::Os(Errno::ACCESS), &VirtualPath::root().join(b"x"), b"x");
        (reply.cause().map(words), String::from_utf8_lossy(reply.text()).into_owned())
    };
    let cause = Some("Permission denied");
    assert_eq!(told("full"), (cause, "x: Permission denied.".to_owned()));
    assert_eq!(told("rd"), (cause, "x: No such file or directory.".to_owned()));
    let new = FileFault::Os(Errno::ACCESS).reply_new(b"x");
    assert_eq!((new.cause().map(words), new.text()), (cause, b"x: Permission denied.".as_slice()));
}
