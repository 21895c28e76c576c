//! Who a server that root has started becomes: a name or a number, looked up in `/etc/passwd`.
//!
//! Not getpwnam(3): it may ask a directory server on the network, and loads code for that at run time.

use super::RunAs;

/// The user that `word` names, among the lines of a passwd file.
///
/// A number that is nobody's in there is taken as it is, for user and group: containers have such users.
///
/// # Errors
/// One line for whoever wrote the word.
pub fn find(word: &str, passwd: &str) -> Result<RunAs, String> {
    let entries = || passwd.lines().filter_map(entry);
    let number = word.parse::<u32>().ok();
    let named = entries().find(|user| user.name == word);
    let found = named.or_else(|| entries().find(|user| Some(user.uid) == number));
    let bare = |number| RunAs { name: word.to_owned(), uid: number, gid: number };
    let user = found.or(number.map(bare)).ok_or_else(|| format!("\"{word}\" is not in /etc/passwd"))?;
    match user.uid == 0 || user.gid == 0 {
        true => Err(format!("\"{word}\" has root's rights: there is nothing to drop")),
        false => Ok(user),
    }
}

fn entry(line: &str) -> Option<RunAs> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
    let _password = fields.next()?;
    let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(RunAs { name, uid, gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0::/root:/bin/sh\nftp:x:107:65534::/srv/ftp:/bin/false\nbroken\nwheel:x:9:0::/:/\n7:x:8:8::/:/\n";

    #[test]
    fn names_and_numbers_are_found() {
        let user = |name: &str, uid, gid| Ok(RunAs { name: name.to_owned(), uid, gid });
        assert_eq!(find("ftp", PASSWD), user("ftp", 107, 65534));
        assert_eq!(find("107", PASSWD), user("ftp", 107, 65534));
        assert_eq!(find("1234", PASSWD), user("1234", 1234, 1234));
        assert_eq!(find("7", PASSWD), user("7", 8, 8), "a name before a number");
    }

    #[test]
    fn nobody_becomes_root() {
        for word in ["root", "0", "wheel", "broken", "", "nobody", "-1"] {
            assert!(find(word, PASSWD).is_err(), "{word}");
        }
    }
}
