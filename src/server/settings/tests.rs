use std::path::Path;

use super::*;
use crate::server::accounts::Account;

/// A folder with the given configuration, and what loading it with further options gives.
fn load(config: &str, options: &[&str]) -> Result<Loaded, Fault> {
    let folder = tempfile::tempdir().unwrap();
    load_in(folder.path(), config, options)
}

fn load_in(folder: &Path, config: &str, options: &[&str]) -> Result<Loaded, Fault> {
    let path = folder.join("m.toml");
    std::fs::write(&path, config).unwrap();
    let file = ["-c".to_owned(), path.to_str().unwrap().to_owned()];
    let words = options.iter().map(|word| (*word).to_owned());
    invocation(file.into_iter().chain(words))?.load(&PasswordSource::Unasked)
}

fn invocation(words: impl IntoIterator<Item = String>) -> Result<Box<Invocation>, Fault> {
    match parse(words.into_iter().map(Into::into))? {
        Command::Serve(invocation) => Ok(invocation),
        other => panic!("{other:?}"),
    }
}

fn options(line: &str) -> Result<Box<Invocation>, Fault> {
    invocation(line.split_whitespace().map(str::to_owned))
}

fn same<T: Clone + Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    postcard::from_bytes(&postcard::to_allocvec(value).unwrap()).unwrap()
}

#[test]
fn nothing_said_is_anonymous_reading_here() {
    let loaded = options("").unwrap().load(&PasswordSource::Unasked).unwrap();
    let settings = loaded.settings;
    assert!(loaded.accounts.is_none());
    assert_eq!(settings.root, std::env::current_dir().unwrap());
    assert_eq!(settings.listen, [ListenAddr::any(21)]);
    let anonymous = settings.anonymous.unwrap();
    assert_eq!(anonymous.permissions.to_string(), "elr");
    assert_eq!(anonymous.root, settings.root);
}

/// Every key but those of accounts, the user and TLS, and none at its default.
const EVERY_KEY: &str = r#"
    listen = ["127.0.0.1:2121", "[::1]:0"]
    root = "pub"
    banner = "hello"
    workers = 3
    [anonymous]
    enabled = true
    root = "/srv/anon"
    permissions = "drop"
    [passive]
    ports = "50000-50099"
    address = "203.0.113.7"
    local = ["10.0.0.0/8"]
    [active]
    enabled = false
    from_port_20 = true
    [limits]
    clients = 5
    per_ip = 0
    per_user = 2
    login_attempts = 5
    login_delay = "500ms"
    bans = { failures = 5, for = "1h" }
    login = 30
    idle = "10m"
    stall = "1m"
    connect = "5s"
    tls_handshake = "9s"
    drain = "0s"
    unused_listener = "20s"
    linger = "1s"
    output_stall = "9s"
    line = "4KiB"
    path = 1024
    held_lines = 8
    held_bytes = "8KiB"
    output = "64KiB"
    listing_sort = 10
    pattern_steps = 1000
    ascii_size = "1MiB"
    stat_lines = 10
    compressed = 4
    inflated = "1GiB"
    upload = "1MiB"
    download = "2MiB"
    socket_buffer = "64KiB"
    [files]
    umask = "077"
    default_type = "A"
    uploads = "atomic"
    symlinks = "rooted"
    hide_dotfiles = true
    deny = ["*.lnk", "private"]
    listing_time = "local"
    make_parents = true
    list_recursive = true
    digest = "sha256"
    [sandbox]
    mode = "required"
    [log]
    level = "debug"
    format = "json"
    transfers = "xferlog"
"#;

/// README's block of every key.
fn documented() -> &'static str {
    let readme = include_str!("../../../README.md");
    let (_, rest) = readme.split_once("### Every key, with its default\n\n```toml\n").unwrap();
    rest.split_once("```").unwrap().0
}

#[test]
#[cfg(feature = "tls")]
fn readme_tells_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let documented = load_in(folder.path(), documented(), &[]).unwrap();
    assert_eq!(documented.settings, load_in(folder.path(), "", &[]).unwrap().settings);
}

#[test]
fn readme_tells_every_key() {
    let keys = |config: &str| {
        let table: toml::Table = config.parse().unwrap();
        let inner = |name: &str, value: &toml::Value| match value.as_table() {
            Some(table) if name != "bans" => table.keys().map(|key| format!("{name}.{key}")).collect(),
            _ => vec![name.to_owned()],
        };
        table.iter().flat_map(|(name, value)| inner(name, value)).collect::<Vec<_>>()
    };
    let told = keys(&documented().replace("\n#", "\n"));
    let tls = super::tls::KEYS.map(|key| format!("tls.{key}"));
    for key in keys(EVERY_KEY).into_iter().chain(["accounts".to_owned(), "user".to_owned()]).chain(tls) {
        assert!(told.contains(&key), "{key} is not in README");
    }
}

#[test]
fn every_key_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let settings = load_in(folder.path(), EVERY_KEY, &[]).unwrap().settings;
    assert_eq!(settings.root, folder.path().join("pub"));
    assert_eq!(settings.anonymous.as_ref().unwrap().permissions.to_string(), "ew");
    assert_eq!(settings.passive.ports.unwrap().count(), 100);
    assert_eq!((settings.workers.get(), settings.sandbox), (3, SandboxMode::Required));
    assert_eq!(settings.limits.per_ip, None);
    assert_eq!(settings.limits.login, Duration::from_secs(30));
    assert_eq!(settings.limits.login_delay, Duration::from_millis(500));
    let bans = settings.limits.bans.as_ref().unwrap();
    assert_eq!(
        (bans.failures.get(), bans.within, bans.lasting),
        (5, Duration::from_secs(600), Duration::from_secs(3600))
    );
    assert_eq!(settings.limits.drain, Duration::ZERO);
    assert_eq!(settings.limits.line, 4096);
    assert_eq!(settings.limits.ascii_size, 1 << 20);
    assert_eq!(settings.files.umask, 0o077);
    assert_eq!((settings.limits.compressed, settings.limits.inflated), (4, 1 << 30));
    assert_eq!(settings.files.digest, Some(Algorithm::Sha256));
    assert_eq!(settings.files.default_type, DefaultType::Ascii);
    assert_eq!(settings.log.transfers, Some(folder.path().join("xferlog")));
    let table = |settings: &Settings| {
        let limits = toml::Table::try_from(&settings.limits).unwrap();
        let files = toml::Table::try_from(&settings.files).unwrap();
        limits.into_iter().chain(files).collect::<toml::Table>()
    };
    let read = table(&settings);
    for (key, default) in table(&Settings::default()) {
        assert_ne!(read.get(&key), Some(&default), "{key} has no key of its own");
    }
    assert_eq!(same(&settings), settings);
}

#[test]
fn defaults_survive_the_way_to_the_worker() {
    let settings = Settings::default();
    assert_eq!(same(&settings), settings);
}

#[test]
fn faults_name_file_line_and_key() {
    for (config, message) in [
        ("banner = \"x\"\nlisen = 1", "m.toml:2: lisen: unknown key"),
        ("[limits]\n\nidel = 1", "m.toml:3: limits.idel: unknown key"),
        ("[limits]\nidle = \"5x\"", "m.toml:2: limits.idle: \"5x\" is no span of time"),
        ("[limits]\nidle = 0", "m.toml:2: limits.idle: must be more than nothing"),
        ("[limits]\nidle = [1]", "m.toml:2: limits.idle: wants one value, not array"),
        ("[limits]\nline = 1", "m.toml:2: limits.line: must be 512 to 8192"),
        ("[limits]\nclients = -1", "m.toml:2: limits.clients: \"-1\": invalid digit"),
        ("[limits]\nlogin_attempts = 0", "limits.login_attempts: must be 1 to 100"),
        ("listen = []", "m.toml:1: listen: wants one address at least"),
        ("listen = \":21\"", "m.toml:1: listen: wants a list, not string"),
        ("listen = [\"21\"]", "m.toml:1: listen: \"21\" is no address"),
        ("banner = \"x\"\nlisten = [\":21\", \"[::1]:0\", \":21\"]", "m.toml:2: listen: :21 is there twice"),
        ("root = 5", "m.toml:1: root: wants a path, not integer"),
        ("log = 5", "m.toml:1: log: wants a table, not integer"),
        ("banner = \"a\\nb\"", "m.toml:1: banner: wants one line"),
        ("[passive]\naddress = \"example.org\"", "m.toml:2: passive.address: \"example.org\": invalid IPv4"),
        ("[passive]\nlocal = [\"10/8\"]", "passive.local: \"10/8\" is no network"),
        ("[anonymous]\npermissions = \"xyz\"", "anonymous.permissions: \"x\" in \"xyz\""),
        ("[files]\numask = \"888\"", "files.umask: \"888\" is no umask"),
        ("[files]\nuploads = \"hidden\"", "m.toml:2: files.uploads: \"hidden\" is none of direct, atomic"),
        ("[files]\ndigest = \"sha3\"", "files.digest: \"sha3\" is none of sha256, sha512, sha1, md5, crc32"),
        ("[limits]\nbans = 10", "m.toml:2: limits.bans: wants a table"),
        ("[limits]\nbans = { failures = 101 }", "limits.bans.failures: must be 0 to 100"),
        ("[limits]\nbans = { failures = 1, for = 0 }", "limits.bans.for: must be more than nothing"),
        ("[limits]\nbans = { failure = 1 }", "limits.bans.failure: unknown key"),
        ("[limits]\ncompressed = 1001", "limits.compressed: must be 0 to 1000"),
        ("[files]\nsymlinks = \"all\"", "files.symlinks: \"all\" is none of inside, rooted, never"),
        ("[files]\nlisting_time = \"CET\"", "files.listing_time: \"CET\" is none of utc, local"),
        ("[files]\nmake_parents = 1", "files.make_parents: \"1\": provided string"),
        ("[files]\ndeny = [\"a/b\"]", "m.toml:2: files.deny: \"a/b\" holds a slash"),
        ("[files]\ndeny = [\"[a\"]", "m.toml:2: files.deny: \"[a\" has a [ without its ]"),
        ("[files]\ndeny = [\"\"]", "m.toml:2: files.deny: wants patterns"),
        ("[log]\nlevel = \"loud\"", "log.level: \"loud\" is none of"),
        ("accounts = \"gone.toml\"", "gone.toml: No such file"),
        ("a = 1\na = 2", "m.toml:2: duplicate key"),
        ("a = ", "m.toml:1: "),
    ] {
        let fault = load(config, &[]).unwrap_err().to_string();
        assert!(fault.contains(message), "{config}: {fault}");
    }
}

#[test]
fn keys_of_later_parts_are_refused_unless_they_ask_for_nothing() {
    for config in [
        "[files]\nfsync = true",
        "[proxy]\ntrusted = [\"10.0.0.0/8\"]",
        "[status]\nlisten = \"127.0.0.1:8021\"",
        "[hooks]\nupload = [\"/bin/true\"]",
        "[hooks]\nevents = \"e.jsonl\"",
    ] {
        let fault = load(config, &[]).unwrap_err().to_string();
        let key = config.rsplit('\n').next().unwrap().split(' ').next().unwrap();
        assert!(fault.ends_with("not in this build") && fault.contains(key), "{fault}");
    }
    let harmless = "workers = 1\nuser = \"\"\n[tls]\nrequire = \"none\"\nimplicit = []\n[limits]\nupload = \"0\"\n\
        compressed = 0\nbans = {}\n[files]\nuploads = \"direct\"\nfsync = false\nsymlinks = \"inside\"\n\
        deny = []\nlisting_time = \"utc\"\ndigest = \"\"\n[sandbox]\nmode = \"off\"\n[proxy]\ntrusted = []\n\
        [status]\nlisten = \"\"\n[hooks]\nupload = []\nevents = \"\"";
    load(harmless, &[]).unwrap();
}

#[cfg(not(feature = "tls"))]
#[test]
fn a_program_without_tls_refuses_its_keys_and_options() {
    for config in ["[tls]\ncertificate = \"c.pem\"", "[tls]\nrequire = \"login\"", "[tls]\nimplicit = [\":990\"]"] {
        assert!(load(config, &[]).unwrap_err().to_string().ends_with("not in this build"));
    }
    for line in ["--tls-cert c", "--tls-key k", "--tls-self-signed", "--tls-require login", "--implicit :990"] {
        assert!(options(line).unwrap_err().to_string().ends_with("not in this build"));
    }
}

#[test]
fn options_of_later_parts_are_refused() {
    assert_eq!(options("--status :80").unwrap_err().to_string(), "--status: not in this build");
    options("--tls-require none").unwrap();
}

#[test]
fn wrong_options_are_named() {
    for (line, message) in [
        ("--listen 21", "--listen: \"21\" is no address"),
        ("--port 70000", "--port: "),
        ("--passive-ports 9", ""),
        ("--passive-ports 9-5", "--passive-ports: \"9-5\""),
        ("--public-address host", "--public-address: "),
        ("--max-clients many", "--max-clients: "),
        ("--idle-timeout 0", "--idle-timeout: must be more"),
        ("--log-format xml", "--log-format: \"xml\" is none of"),
        ("--user a/b", "--user: \"a/b\" holds"),
        ("--bogus", "command line: "),
        ("--port", "command line: "),
        ("a b", "command line: more than one DIR"),
    ] {
        match options(line) {
            Err(fault) => assert!(fault.to_string().starts_with(message), "{fault}"),
            Ok(_) => assert_eq!(message, "", "{line}"),
        }
    }
}

#[test]
fn an_address_that_is_there_twice_is_told_where_it_was_written() {
    let listen = "root = \".\"\nlisten = [\":21\"]\n";
    let fault = |config: &str, line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        load(config, &words).unwrap_err().to_string()
    };
    assert_eq!(fault(listen, "-p 21 -l :21"), "--listen: :21 is there twice");
    if cfg!(feature = "tls") {
        let told = fault(&format!("{listen}[tls]\n\nimplicit = [\":990\", \":21\"]"), "");
        assert!(told.ends_with("m.toml:5: tls.implicit: :21 is there twice"), "{told}");
        assert_eq!(fault(listen, "--implicit :21"), "--implicit: :21 is there twice");
    }
}

#[test]
fn options_win_over_the_file() {
    let config = "listen = [\":2000\"]\nroot = \"/elsewhere\"\n[limits]\nclients = 7\nper_ip = 7\nidle = \"7m\"\n\
        [passive]\nports = \"7000-7007\"\naddress = \"192.0.2.1\"\n[log]\nlevel = \"error\"\nformat = \"json\"";
    let line = "-p 2121 -l [::1]:2222 -w --max-clients 8 --max-per-ip 0 --idle-timeout 60 --passive-ports 8000-8001 \
        --public-address 203.0.113.7 --log-level trace --log-format text --transfer-log /tmp/x /srv";
    let words: Vec<&str> = line.split_whitespace().collect();
    let settings = load(config, &words).unwrap().settings;
    let listen: Vec<String> = settings.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["[::1]:2222", ":2121"]);
    assert_eq!(settings.root, Path::new("/srv"));
    assert_eq!(settings.limits.clients, NonZeroU32::new(8));
    assert_eq!(settings.limits.per_ip, None);
    assert_eq!(settings.limits.idle, Duration::from_secs(60));
    assert_eq!(settings.passive.ports, Some(PortRange { low: 8000, high: 8001 }));
    assert_eq!(settings.passive.address, Some(Ipv4Addr::new(203, 0, 113, 7)));
    assert_eq!(settings.log.level, Level::Trace);
    assert_eq!(settings.log.format, LogFormat::Text);
    assert_eq!(settings.log.transfers.as_deref(), Some(Path::new("/tmp/x")));
    let anonymous = settings.anonymous.unwrap();
    assert_eq!(anonymous.permissions.to_string(), "elrwoadfmMT");
    assert_eq!(anonymous.root, Path::new("/srv"));
}

#[test]
fn accounts_turn_anonymous_off() {
    let accounts = "[[account]]\nname = \"alice\"\npassword = \"*\"";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("accounts.toml"), accounts).unwrap();
    let loaded = load_in(folder.path(), "", &[]).unwrap();
    assert!(loaded.settings.anonymous.is_none());
    assert_eq!(loaded.accounts.unwrap().accounts.len(), 1);
    assert!(loaded.warnings.iter().any(|line| line.contains("alice")));
    for (config, options) in [("[anonymous]\nenabled = true", &[][..]), ("", &["--anonymous"])] {
        let loaded = load_in(folder.path(), config, options).unwrap();
        assert!(loaded.settings.anonymous.is_some());
    }
    let off = load("[anonymous]\nenabled = false", &[]).unwrap();
    assert!(off.settings.anonymous.is_none());
    assert!(off.warnings.iter().any(|line| line.contains("nobody can log in")));
}

#[test]
fn a_user_gets_everything_on_dir() {
    let hash = PasswordSource::Hash("$6$x".to_owned());
    let loaded = options("--user alice /srv").unwrap().load(&hash).unwrap();
    assert!(loaded.settings.anonymous.is_none());
    let accounts = loaded.accounts.unwrap();
    let owner = Account::owner("alice".to_owned(), "/srv".into());
    assert_eq!(accounts.accounts, [owner]);
    assert_eq!(accounts.credentials.first().unwrap().hash.as_deref(), Some("$6$x"));
}

#[test]
fn help_fits_a_screen_and_leaves_nothing_out() {
    assert!(HELP.lines().count() <= 24);
    assert!(HELP.lines().all(|line| line.len() < 80), "too wide");
    for option in command_line::names() {
        assert!(HELP.contains(&format!("--{option}")), "{option}");
    }
}

#[test]
fn commands_that_stand_alone_are_found() {
    let one = |word: &str| parse([word.into()]).unwrap();
    assert!(matches!(one("--help"), Command::Help));
    assert!(matches!(one("-V"), Command::Version));
    assert!(matches!(one("--hash-password"), Command::HashPassword));
    assert!(matches!(one("--states"), Command::States));
    assert!(matches!(one("--replies"), Command::Replies));
    assert!(matches!(one("--check"), Command::Check(_)));
}

#[cfg(feature = "tls")]
#[test]
fn tls_faults_name_file_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| std::fs::write(folder.path().join(name), text).unwrap();
    let [ours, other] = [(); 2].map(|()| crate::server::tls::self_signed().unwrap());
    write("cert.pem", &ours.chain);
    write("key.pem", &ours.key);
    write("other.pem", &other.key);
    write("broken.pem", b"nothing");
    write("new.pem", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGr\n-----END ENCRYPTED PRIVATE KEY-----\n");
    write(
        "old.pem",
        b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMIGr\n\
        -----END RSA PRIVATE KEY-----\n",
    );
    let fault = |lines: &str, options: &[&str]| {
        load_in(folder.path(), &format!("\n[tls]\n{lines}"), options).unwrap_err().to_string()
    };
    let both = "certificate = \"cert.pem\"\nkey = \"key.pem\"\n";
    for (lines, place, why) in [
        (
            "key = \"key.pem\"\ncertificate = \"broken.pem\"",
            "m.toml:4: tls.certificate: ",
            "no certificate in the file",
        ),
        ("certificate = \"cert.pem\"\nkey = \"broken.pem\"", "m.toml:4: tls.key: ", "no private key in the file"),
        ("certificate = \"cert.pem\"\nkey = \"other.pem\"", "m.toml:4: tls.key: ", "other.pem: is not the key of this"),
        ("certificate = \"cert.pem\"\nkey = \"new.pem\"", "m.toml:4: tls.key: ", "is encrypted"),
        ("certificate = \"cert.pem\"\nkey = \"old.pem\"", "m.toml:4: tls.key: ", "is encrypted"),
        ("key = \"key.pem\"\ncertificate = \"gone.pem\"", "m.toml:4: tls.certificate: ", "gone.pem: No such file"),
        ("certificate = \"cert.pem\"", "m.toml:3: tls.certificate: ", "tls.key beside it"),
        (&format!("{both}client_ca = \"broken.pem\""), "m.toml:5: tls.client_ca: ", "no certificate in the file"),
        (&format!("{both}client_login = true"), "m.toml:5: tls.client_login: ", "wants client_ca"),
    ] {
        let fault = fault(lines, &[]);
        assert!(fault.contains(place) && fault.contains(why), "{lines}: {fault}");
    }
    let option = folder.path().join("broken.pem");
    let fault = fault(both, &["--tls-cert", option.to_str().unwrap()]);
    assert!(fault.starts_with("--tls-cert: ") && fault.ends_with("broken.pem: no certificate in the file"), "{fault}");
}

#[cfg(feature = "tls")]
#[test]
fn safety_is_not_promised_without_a_certificate() {
    for line in [
        "require = \"login\"",
        "implicit = [\":990\"]",
        "client_ca = \"ca.pem\"",
        "reuse = \"require\"",
        "client_login = true",
        "ccc = true",
        "minimum = \"1.3\"",
        "strict_close = true",
    ] {
        let fault = load(&format!("[tls]\n{line}"), &[]).expect_err(line).to_string();
        let key = line.split(' ').next().unwrap();
        assert!(fault.ends_with(&format!("m.toml:2: tls.{key}: wants a certificate and its key")), "{fault}");
    }
    let fault = load("", &["--tls-require", "data"]).unwrap_err().to_string();
    assert_eq!(fault, "--tls-require: wants a certificate and its key");
    load("[tls]\nreuse = \"log\"\nminimum = \"1.2\"\nclient_login = false\nstrict_close = false", &[]).unwrap();
}

#[test]
fn a_user_that_is_not_there_is_named_with_its_line() {
    // Only root has anybody to become.
    if rustix::process::geteuid().is_root() {
        let fault = load("\nuser = \"no such user\"", &[]).unwrap_err().to_string();
        assert!(fault.contains("m.toml:2: user: \"no such user\" is not in"), "{fault}");
    }
}
