use super::*;

/// Hashes of `pleaseletmein` made by libxcrypt's crypt(3), and Argon2's own test vector of `password`.
const VECTORS: [(&str, &str, &str); 8] = [
    ("argon2id", "password", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"),
    ("yescrypt", "pleaseletmein", "$y$j9T$LdJMENpBABJJ3hIHjB1Bi.$iofk68xbXBoXKsxTyMBCh2qkQuzQZ2Zik521F9TsTq6"),
    ("yescrypt-small", "pleaseletmein", "$y$j75$abcdefgh$/B3.Dr4ahZLzq7vcnw.nDCpXzKhYZQeRifnmKBUGt70"),
    (
        "sha512",
        "pleaseletmein",
        "$6$saltsalt$DLp8rqDDHzc62TRLuxE5lcA2jU4ooYgB5qhgj93CCSodCdlvlztlsC7G9KOBGply41pz2hdr1kPFUxI9lc1F91",
    ),
    (
        "sha512-rounds",
        "pleaseletmein",
        "$6$rounds=10000$saltstring$GjEfzz20ksGaQvHWvHakPZ9Ey5MhOPzKuaI9T3yew82/CXOSCUkT.wpPSavt7clkiuhYcmoYcAdG1VOgho9sR0",
    ),
    ("sha256", "pleaseletmein", "$5$saltsalt$yUdLSqlVpW6VnN.cxyOKylX27BiDGmQgXoEaST5kgR1"),
    ("bcrypt", "pleaseletmein", "$2b$05$abcdefghijklmnopqrstuu2EjsH9/6E2HK9wvYowfGqPX5wGi4UDS"),
    ("bcrypt-y", "pleaseletmein", "$2y$04$abcdefghijklmnopqrstuumH1BFkDxi3LKCbP6FQ2juPgiLLcuV6S"),
];

/// bcrypt of 72 times `x`, which is its hash of 80 times `x` too.
const BCRYPT_72: &str = "$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i";

fn credential(name: &str, hash: Option<&str>) -> Credential {
    let (name, hash) = (name.to_owned(), hash.map(str::to_owned));
    Credential { name, hash }
}

fn book() -> Book {
    let vectors = VECTORS.map(|(name, _, hash)| credential(name, Some(hash)));
    let odd = [credential("long", Some(BCRYPT_72)), credential("off", None)];
    Book::new(&[&vectors[..], &odd].concat())
}

#[test]
fn every_family_knows_its_password() {
    let book = book();
    for (name, password, _) in VECTORS {
        assert!(book.judge(name.as_bytes(), password.as_bytes()), "{name}");
        for wrong in ["", "*", "pleaseletmei", "pleaseletmein\0", "Pleaseletmein"] {
            assert!(!book.judge(name.as_bytes(), wrong.as_bytes()), "{name} {wrong}");
        }
    }
}

#[test]
fn a09_long_passwords_are_wrong() {
    let book = book();
    assert!(book.judge(b"long", &[b'x'; 72]));
    assert!(!book.judge(b"long", &[b'x'; 73]));
    assert!(!book.judge(b"long", &[b'x'; 80]));
    let long = [b'x'; LONGEST_PASSWORD + 1];
    let hash = Hash::make(&long).unwrap();
    let book = Book::new(&[credential("a", Some(&hash))]);
    assert!(!book.judge(b"a", &long));
}

#[test]
fn what_is_made_here_is_known_here() {
    let hash = Hash::make(b"correct horse").unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    assert_ne!(hash, Hash::make(b"correct horse").unwrap());
    let book = Book::new(&[credential("a", Some(&hash))]);
    assert!(book.judge(b"a", b"correct horse"));
    assert!(!book.judge(b"a", b"correct horses"));
}

#[test]
fn unknown_and_disabled_names_have_no_password() {
    let book = book();
    for name in [&b"nobody"[..], b"off", b"", b"\xff", b"sha256 ", b"SHA256"] {
        assert!(!book.judge(name, b"pleaseletmein"), "{name:?}");
    }
    assert!(!Book::default().judge(b"a", b"b"));
}

#[test]
fn the_stand_in_is_a_hash_that_costs() {
    // Were it not parsed, unknown names would be answered at once.
    let text = format!("{}", Hash::nobody());
    assert!(Hash::parse(&text).is_ok());
    let (book, one) = (book(), b"nobody");
    assert_eq!(book.stand_in(one).to_string(), book.stand_in(one).to_string());
    assert_eq!(Book::default().stand_in(one).to_string(), text);
}

fn pair() -> (OwnedFd, OwnedFd) {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
}

/// The other ends of a running verifier's sockets.
fn running() -> (OwnedFd, OwnedFd, std::thread::JoinHandle<io::Result<()>>) {
    let ((keeper, theirs), (worker, joined)) = (pair(), pair());
    let verifier = std::thread::spawn(|| run(theirs));
    let secrets = Secrets {
        log: crate::server::settings::Settings::default().log,
        run_as: None,
        // The other tests are in this process too.
        sandbox: crate::server::settings::SandboxMode::Off,
        credentials: vec![credential("sha256", Some(VECTORS[5].2))],
    };
    for chunk in super::super::packet::Chunk::cut(&postcard::to_allocvec(&secrets).unwrap()) {
        send(&keeper, &Instruction::Secrets(chunk), None).unwrap();
    }
    send(&keeper, &Instruction::Worker, Some(joined.as_fd())).unwrap();
    (keeper, worker, verifier)
}

fn check(id: u64, password: &str) -> ToVerifier {
    let password = super::super::secret::Secret::new(password.as_bytes().to_vec());
    ToVerifier::Check { id, user: b"sha256".to_vec(), password }
}

#[test]
fn checks_are_answered_in_order() {
    let (keeper, worker, verifier) = running();
    for id in 0..20 {
        let word = if id % 2 == 0 { "pleaseletmein" } else { "no" };
        send(&worker, &check(id, word), None).unwrap();
    }
    let mut buffer = vec![0; LARGEST_PACKET];
    for expected in 0..20 {
        let Received::Message(FromVerifier::Verdict { id, right }, _) = recv(&worker, &mut buffer).unwrap() else {
            panic!("no verdict");
        };
        assert_eq!((id, right), (expected, expected % 2 == 0));
    }
    drop(worker);
    drop(keeper);
    assert!(verifier.join().unwrap().is_ok());
}

#[test]
fn each_worker_has_a_way_of_its_own() {
    let (keeper, first, verifier) = running();
    let (second, joined) = pair();
    send(&keeper, &Instruction::Worker, Some(joined.as_fd())).unwrap();
    drop(joined);
    let mut buffer = vec![0; LARGEST_PACKET];
    for (worker, id) in [(&second, 7), (&first, 7), (&second, 8)] {
        send(worker, &check(id, "pleaseletmein"), None).unwrap();
        let Received::Message(FromVerifier::Verdict { id: answered, right: true }, _) =
            recv(worker, &mut buffer).unwrap()
        else {
            panic!("no verdict");
        };
        assert_eq!(answered, id);
    }
    // One that ends takes nothing from the other.
    drop(first);
    send(&second, &check(9, "pleaseletmein"), None).unwrap();
    assert!(matches!(recv(&second, &mut buffer).unwrap(), Received::Message(FromVerifier::Verdict { id: 9, .. }, _)));
    drop(keeper);
    assert!(verifier.join().unwrap().is_ok());
}

#[test]
fn s10_it_ends_with_the_keeper_and_at_nonsense() {
    let (keeper, worker, verifier) = running();
    drop(keeper);
    assert!(verifier.join().unwrap().is_ok());
    drop(worker);
    let (_keeper, worker, verifier) = running();
    rustix::net::send(&worker, b"?", rustix::net::SendFlags::empty()).unwrap();
    assert_eq!(verifier.join().unwrap().unwrap_err().kind(), io::ErrorKind::InvalidData);
}
