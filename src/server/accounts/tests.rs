use super::*;
use proptest::prelude::*;

const SHA: &str = "$5$saltsalt$yUdLSqlVpW6VnN.cxyOKylX27BiDGmQgXoEaST5kgR1";

fn read(text: &str) -> Result<(Accounts, Vec<String>), String> {
    let source = Source::new(Path::new("a.toml"), text.to_owned());
    let mut warnings = Vec::new();
    Accounts::read(&source, Path::new("/etc/ftp"), Path::new("/srv"), &mut warnings)
        .map(|all| (all, warnings))
        .map_err(|fault| fault.to_string())
}

#[test]
fn an_account_is_read_whole() {
    let text = format!(
        r#"
        [[account]]
        name = "alice"
        password = "{SHA}"
        home = "alice"
        permissions = "write"
        sessions = 3
        allow_from = ["192.168.0.0/16", "::1"]
        expires = 2027-01-31
        [[account.rule]]
        path = "/incoming/../in//x/."
        permissions = "drop"
        [[account]]
        name = "bob"
        password = "{SHA}"
        expires = "2027-01-31T12:00:00+01:00"
        "#
    );
    let (all, warnings) = read(&text).unwrap();
    assert!(warnings.is_empty());
    let [alice, bob] = &all.accounts[..] else {
        panic!("{all:?}");
    };
    assert_eq!(alice.home, Path::new("/etc/ftp/alice"));
    assert_eq!(alice.permissions.to_string(), "elrwoam");
    assert_eq!(alice.sessions, NonZeroU32::new(3));
    assert_eq!(alice.allow_from.len(), 2);
    assert_eq!(alice.expires, Some(day(2027, 2, 1)));
    let [rule] = &alice.rules[..] else {
        panic!("{alice:?}");
    };
    assert_eq!((rule.path.as_str(), rule.permissions.to_string()), ("/in/x", "ew".to_owned()));
    assert_eq!(bob.home, Path::new("/srv"));
    assert_eq!(bob.permissions.to_string(), "elr");
    assert_eq!(bob.expires, Some(day(2027, 1, 31) + 11 * 3600));
    assert!(all.credentials.iter().all(|one| one.hash.as_deref() == Some(SHA)));
    let again: Account = postcard::from_bytes(&postcard::to_allocvec(alice).unwrap()).unwrap();
    assert_eq!(&again, alice);
}

#[test]
fn a10_unusable_hashes_disable_their_account() {
    for (password, reason) in [
        ("", "no password"),
        ("*", "no password"),
        ("!", "no password"),
        ("secret", "no known family"),
        ("$1$salt$abc", "no known family"),
        ("$argon2i$v=19$m=16,t=2,p=1$c29tZXNhbHQ$AAAA", "no known family"),
        ("$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "too much"),
        ("$argon2id$v=19$m=65536,t=11,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "too much"),
        ("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ", "broken"),
        ("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdU", "broken"),
        (
            "$6$rounds=9999999$salt$GjEfzz20ksGaQvHWvHakPZ9Ey5MhOPzKuaI9T3yew82/CXOSCUkT.wpPSavt7clkiuhYcmoYcAdG1VOgho9sR0",
            "too much",
        ),
        ("$6$salt$short", "broken"),
        ("$6$salt$", "broken"),
        ("$5$saltsalt$yUdLSqlVpW6VnN.cxyOKylX27BiDGmQgXoEaST5kgR1$", "broken"),
        ("$y$j9T$abcdefgh$", "broken"),
        ("$y$jFT$abcdefgh$/B3.Dr4ahZLzq7vcnw.nDCpXzKhYZQeRifnmKBUGt70", "too much"),
        ("$y$j9T5$abcdefgh$/B3.Dr4ahZLzq7vcnw.nDCpXzKhYZQeRifnmKBUGt70", "broken"),
        ("$2b$14$abcdefghijklmnopqrstuu2EjsH9/6E2HK9wvYowfGqPX5wGi4UDS", "too much"),
        ("$2b$31$abcdefghijklmnopqrstuu2EjsH9/6E2HK9wvYowfGqPX5wGi4UDS", "too much"),
        ("$2b$05$abc", "broken"),
    ] {
        let text = format!("[[account]]\nname = \"a\"\npassword = '{password}'");
        let (all, warnings) = read(&text).unwrap();
        assert!(all.credentials.iter().all(|one| one.hash.is_none()), "{password}");
        let [warning] = &warnings[..] else {
            panic!("{password}: {warnings:?}");
        };
        assert!(warning.contains(reason), "{password}: {warning}");
        assert!(password.len() < 2 || !warning.contains(password), "{warning}");
    }
}

#[test]
fn p17_wrong_accounts_are_faults() {
    for (text, message) in [
        ("[[account]]", "a.toml:1: account.name: is missing"),
        ("[[account]]\nname = \"\"", "is empty"),
        ("[[account]]\nname = \"..\"", "a directory's name"),
        ("[[account]]\nname = \"a/../b\"", "holds"),
        ("[[account]]\nname = \"a\\u0000\"", "control"),
        ("[[account]]\nname = \"a\\u001b\"", "control"),
        ("[[account]]\nname = \"Anonymous\"", "means the anonymous user"),
        ("[[account]]\nname = \"a\"\n[[account]]\nname = \"a\"", "a.toml:3: account.name: \"a\" is there twice"),
        ("[[account]]\nname = \"a\"\nhomes = \"x\"", "a.toml:3: account.homes: unknown key"),
        ("[[account]]\nname = \"a\"\npermissions = \"every\"", "account.permissions: "),
        ("[[account]]\nname = \"a\"\nexpires = \"soon\"", "account.expires: \"soon\" is no date"),
        ("[[account]]\nname = \"a\"\nexpires = 12:00:00", "is no date"),
        ("[[account]]\nname = \"a\"\nquota = { bites = 1 }", "account.quota.bites: unknown key"),
        ("[[account]]\nname = \"a\"\nquota = 5", "a.toml:3: account.quota: wants a table"),
        ("[[account]]\nname = \"a\"\nupload = \"fast\"", "account.upload: \"fast\" is no size"),
        ("[[account]]\nname = \"a\"\n[[account.rule]]\npath = \"/x\"", "account.rule.path: and permissions"),
        (
            "[[account]]\nname = \"a\"\n[[account.rule]]\npath = \"/x\"\npermissions = \"\"\n[[account.rule]]\npath = \"x/\"\npermissions = \"\"",
            "\"/x\" is there twice",
        ),
        ("account = 5", "a.toml:1: account: wants [[account]]"),
        ("[[accounts]]\nname = \"a\"", "accounts: unknown key"),
    ] {
        let fault = read(text).unwrap_err();
        assert!(fault.contains(message), "{text}: {fault}");
    }
}

#[test]
fn hashes_are_not_printed() {
    let (all, _) = read(&format!("[[account]]\nname = \"a\"\npassword = \"{SHA}\"")).unwrap();
    assert!(!format!("{all:?}").contains("saltsalt"));
}

proptest! {
    #[test]
    fn rule_paths_are_canonical(path in "[a./]{1,20}") {
        let once: permissions::RulePath = path.parse().unwrap();
        let text = once.as_str();
        prop_assert!(text.starts_with('/'));
        prop_assert!(text == "/" || text.split('/').skip(1).all(|part| !["", ".", ".."].contains(&part)));
        prop_assert_eq!(text.parse::<permissions::RulePath>().unwrap(), once.clone());
    }

    #[test]
    fn no_hash_panics(text in "(\\$(argon2id|y|6|5|2b)\\$)?[a-z0-9$=,./]{0,80}") {
        let _ = Hash::parse(&text);
    }
}

/// The first second of a day.
fn day(year: u16, month: u8, day: u8) -> i64 {
    Civil { year, month, day, hour: 0, minute: 0, second: 0 }.to_epoch()
}
