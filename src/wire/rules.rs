//! The table of verbs: one row each, and everything that is judged before a command runs.
//!
//! The row says whether a verb takes an argument, who may use it, what becomes of it while a
//! transfer runs, whether this build carries it out, and every reply it can give. Gate, HELP,
//! FEAT and `--replies` all read this table, so a verb is added or switched on in one place.

/// Whether a verb takes an argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Argument {
    /// Takes none. A stray one is ignored: clients in the field append blanks and worse.
    None,
    /// May have one.
    Optional,
    /// Without one the answer is 501.
    Required,
}

/// Who may use a verb.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// Also before login.
    Anyone,
    /// After login only; 530 before.
    Member,
}

/// What becomes of a verb that arrives between a transfer's 150 and its final reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum During {
    /// Held and run after the final reply (RFC 959 4.2 wants replies in command order).
    Waits,
    /// Acts at once, past all that waits: ABOR and STAT.
    Acts,
    /// Ends the session once the transfer has had its final reply: QUIT.
    Defers,
}

/// Whether this build carries a verb out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Carried out.
    On,
    /// Known, and answered with 502.
    Off,
}

/// One row of the table.
#[derive(Debug)]
pub struct Rule {
    /// The verb this row is about.
    pub verb: Verb,
    /// Its word on the wire, in upper case.
    pub name: &'static str,
    /// Other words for the same verb (RFC 775's X-forms), in upper case.
    pub aliases: &'static [&'static str],
    /// Whether it takes an argument.
    pub argument: Argument,
    /// Who may use it, in its common form. See [`Rule::when_given`].
    pub when: When,
    /// What becomes of it during a transfer, in its common form. See [`Rule::during_given`].
    pub during: During,
    /// Whether this build carries it out.
    pub status: Status,
    /// The form that HELP shows, as RFC 959 5.3.1 writes it.
    pub syntax: &'static str,
    /// Every code it can answer with, ascending, but for 421, 500 and 501, which any verb can.
    pub replies: &'static [u16],
}

impl Rule {
    /// Who may use the verb with this argument (empty: none).
    ///
    /// Two verbs are two things under one name: STAT with a path is a listing and needs a login,
    /// and SITE HELP is harmless where every other SITE word is not.
    pub fn when_given(&self, argument: &[u8]) -> When {
        match self.verb {
            Verb::Stat if !argument.is_empty() => When::Member,
            Verb::Site if first_word(argument).eq_ignore_ascii_case(b"HELP") => When::Anyone,
            _ => self.when,
        }
    }

    /// What becomes of the verb with this argument (empty: none) during a transfer.
    ///
    /// STAT with a path reads the file system, so it takes its turn like LIST.
    pub fn during_given(&self, argument: &[u8]) -> During {
        match self.verb {
            Verb::Stat if !argument.is_empty() => During::Waits,
            _ => self.during,
        }
    }
}

fn first_word(argument: &[u8]) -> &[u8] {
    let mut words = argument.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    words.next().unwrap_or_default()
}

/// Expands the rows below into [`Verb`] and the table, so that the two cannot disagree on order.
macro_rules! verbs {
    ($(
        $(#[$doc:meta])+
        $verb:ident $name:literal [$($alias:literal)*] $argument:ident $when:ident $during:ident $status:ident
            $syntax:literal [$($reply:literal)*];
    )+) => {
        /// A command word of FTP, spelled as in the row that describes it.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Verb { $( $(#[$doc])+ $verb, )+ }

        const TABLE: &[Rule] = &[ $( Rule {
            verb: Verb::$verb,
            name: $name,
            aliases: &[$($alias),*],
            argument: Argument::$argument,
            when: When::$when,
            during: During::$during,
            status: Status::$status,
            syntax: $syntax,
            replies: &[$($reply),*],
        }, )+ ];
    };
}

verbs! {
    /// Names the account (RFC 959 4.1.1).
    User "USER" [] Required Anyone Waits On "USER <SP> name" [230 232 331 530 534];
    /// Proves it (RFC 959 4.1.1). The text may be empty.
    Pass "PASS" [] Optional Anyone Waits On "PASS [<SP> password]" [202 230 332 451 503 530];
    /// Names an account beside the user (RFC 959 4.1.1).
    Acct "ACCT" [] Required Anyone Waits On "ACCT <SP> account" [202 230 503 530];
    /// Changes the working directory (RFC 959 4.1.1); without a path, to the home directory.
    Cwd "CWD" ["XCWD"] Optional Member Waits On "CWD [<SP> path]" [250 450 451 530 550 553];
    /// Changes to the parent directory (RFC 959 4.1.1).
    Cdup "CDUP" ["XCUP"] None Member Waits On "CDUP" [250 450 451 530 550];
    /// Mounts a file system (RFC 959 4.1.1).
    Smnt "SMNT" [] Required Member Waits Off "SMNT <SP> path" [502];
    /// Ends the session (RFC 959 4.1.1).
    Quit "QUIT" [] None Anyone Defers On "QUIT" [221];
    /// Starts the session anew (RFC 959 4.1.1).
    Rein "REIN" [] None Anyone Waits On "REIN" [220];
    /// Names the client's data port (RFC 959 4.1.2).
    Port "PORT" [] Required Member Waits On "PORT <SP> h1,h2,h3,h4,p1,p2" [200 502 504 530];
    /// Asks for a data port of the server (RFC 959 4.1.2).
    Pasv "PASV" [] None Member Waits On "PASV" [227 425 502 530];
    /// Sets the representation type (RFC 959 4.1.2).
    Type "TYPE" [] Required Member Waits On "TYPE <SP> { A [N|T] | I | L 8 }" [200 504 530];
    /// Sets the file structure (RFC 959 4.1.2).
    Stru "STRU" [] Required Member Waits On "STRU <SP> F" [200 504 530];
    /// Sets the transfer mode (RFC 959 4.1.2).
    Mode "MODE" [] Required Member Waits On "MODE <SP> { S | Z }" [200 504 530];
    /// Sends a file to the client (RFC 959 4.1.3).
    Retr "RETR" [] Required Member Waits On "RETR <SP> path" [150 226 425 426 450 451 522 530 550 553 554];
    /// Stores a file (RFC 959 4.1.3).
    Stor "STOR" [] Required Member Waits On "STOR <SP> path" [150 226 425 426 450 451 452 522 530 550 552 553 554];
    /// Stores a file under a name of the server's choice (RFC 959 4.1.3).
    Stou "STOU" [] Optional Member Waits On "STOU [<SP> prefix]" [150 226 425 426 450 451 452 522 530 550 552 553 554];
    /// Appends to a file (RFC 959 4.1.3).
    Appe "APPE" [] Required Member Waits On "APPE <SP> path" [150 226 425 426 450 451 452 522 530 550 552 553 554];
    /// Announces the size of the file to come (RFC 959 4.1.3).
    Allo "ALLO" [] Required Member Waits On "ALLO <SP> octets [<SP> R <SP> record-size]" [200 452 530 552];
    /// Sets the restart marker (RFC 959 4.1.3, RFC 3659 5).
    Rest "REST" [] Required Member Waits On "REST <SP> octet" [350 530];
    /// Names what is to be renamed (RFC 959 4.1.3).
    Rnfr "RNFR" [] Required Member Waits On "RNFR <SP> path" [350 450 451 530 550 553];
    /// Gives it its new name (RFC 959 4.1.3).
    Rnto "RNTO" [] Required Member Waits On "RNTO <SP> path" [250 450 451 452 503 530 550 552 553];
    /// Stops the transfer (RFC 959 4.1.3).
    Abor "ABOR" [] None Anyone Acts On "ABOR" [225 226];
    /// Removes a file (RFC 959 4.1.3).
    Dele "DELE" [] Required Member Waits On "DELE <SP> path" [250 450 451 530 550 553];
    /// Removes a directory (RFC 959 4.1.3).
    Rmd "RMD" ["XRMD"] Required Member Waits On "RMD <SP> path" [250 450 451 530 550 553];
    /// Makes a directory (RFC 959 4.1.3).
    Mkd "MKD" ["XMKD"] Required Member Waits On "MKD <SP> path" [257 450 451 452 530 550 552 553];
    /// Prints the working directory (RFC 959 4.1.3).
    Pwd "PWD" ["XPWD"] None Member Waits On "PWD" [257 530 550];
    /// Lists a directory for people (RFC 959 4.1.3).
    List "LIST" [] Optional Member Waits On "LIST [<SP> path]" [150 226 425 426 450 451 522 530 550 553];
    /// Lists names (RFC 959 4.1.3).
    Nlst "NLST" [] Optional Member Waits On "NLST [<SP> path]" [150 226 425 426 450 451 522 530 550 553];
    /// Services of this site (RFC 959 4.1.3).
    Site "SITE" [] Required Member Waits On "SITE <SP> word [<SP> arguments]" [200 211 214 450 451 452 504 530 550 552 553];
    /// Names the operating system (RFC 959 4.1.3).
    Syst "SYST" [] None Anyone Waits On "SYST" [215];
    /// Status of session or transfer, or a listing over the control connection (RFC 959 4.1.3).
    Stat "STAT" [] Optional Anyone Acts On "STAT [<SP> path]" [211 213 450 451 530 550 553];
    /// Explains commands (RFC 959 4.1.3).
    Help "HELP" [] Optional Anyone Waits On "HELP [<SP> command]" [214 502];
    /// Does nothing (RFC 959 4.1.3).
    Noop "NOOP" [] None Anyone Waits On "NOOP" [200];

    /// Lists the extensions (RFC 2389 3).
    Feat "FEAT" [] None Anyone Waits On "FEAT" [211];
    /// Sets an option of another command (RFC 2389 4).
    Opts "OPTS" [] Required Anyone Waits On "OPTS <SP> command [<SP> options]" [200 451];
    /// Chooses the language of replies (RFC 2640 4.1).
    Lang "LANG" [] Optional Anyone Waits On "LANG [<SP> tag]" [200 504];
    /// Names the client program (field lore).
    Clnt "CLNT" [] Required Anyone Waits On "CLNT <SP> text" [200];
    /// Names the client program in facts, and asks for the server's (draft-peterson-streamlined-ftp).
    Csid "CSID" [] Optional Anyone Waits On "CSID [<SP> Name=...;Version=...;]" [200];
    /// Names the host that the client believes to talk to (RFC 7151).
    Host "HOST" [] Required Anyone Waits On "HOST <SP> name" [220 503 504];
    /// Starts TLS (RFC 2228 3, RFC 4217 4).
    Auth "AUTH" [] Required Anyone Waits On "AUTH <SP> TLS" [234 431 502 504 534];
    /// Security data (RFC 2228 3).
    Adat "ADAT" [] Required Anyone Waits Off "ADAT <SP> base64" [502 503];
    /// Sets the protection of the data connection (RFC 2228 3, RFC 4217 9).
    Prot "PROT" [] Required Anyone Waits On "PROT <SP> { C | P }" [200 502 503 504 534 536];
    /// Protection buffer size (RFC 2228 3, RFC 4217 8).
    Pbsz "PBSZ" [] Required Anyone Waits On "PBSZ <SP> 0" [200 502 503];
    /// Ends TLS on the control connection (RFC 2228 3, RFC 4217 5).
    Ccc "CCC" [] None Member Waits On "CCC" [200 502 530 533 534];
    /// Integrity protected command (RFC 2228 3).
    Mic "MIC" [] Required Anyone Waits Off "MIC <SP> base64" [502];
    /// Confidential command (RFC 2228 3).
    Conf "CONF" [] Required Anyone Waits Off "CONF <SP> base64" [502];
    /// Private command (RFC 2228 3).
    Enc "ENC" [] Required Anyone Waits Off "ENC <SP> base64" [502];
    /// PORT for every address family (RFC 2428 2).
    Eprt "EPRT" [] Required Member Waits On "EPRT <SP> |family|address|port|" [200 502 504 522 530];
    /// PASV for every address family (RFC 2428 3).
    Epsv "EPSV" [] Optional Member Waits On "EPSV [<SP> { 1 | 2 | ALL }]" [200 229 425 502 522 530];
    /// Modification time (RFC 3659 3); sets it in a form known from the field.
    Mdtm "MDTM" [] Required Member Waits On "MDTM <SP> path" [213 450 451 530 550 553];
    /// Size as a transfer would have it (RFC 3659 4).
    Size "SIZE" [] Required Member Waits On "SIZE <SP> path" [213 450 451 530 550 553];
    /// Facts of one name (RFC 3659 7).
    Mlst "MLST" [] Optional Member Waits On "MLST [<SP> path]" [250 450 451 530 550 553];
    /// Facts of a directory's entries (RFC 3659 7).
    Mlsd "MLSD" [] Optional Member Waits On "MLSD [<SP> path]" [150 226 425 426 450 451 522 530 550 553];
    /// Sets the modification time (draft-somers-ftp-mfxx).
    Mfmt "MFMT" [] Required Member Waits On "MFMT <SP> YYYYMMDDHHMMSS <SP> path" [213 450 451 530 550 553];
    /// Sets the creation time (draft-somers-ftp-mfxx).
    Mfct "MFCT" [] Required Member Waits Off "MFCT <SP> YYYYMMDDHHMMSS <SP> path" [502];
    /// Sets facts (draft-somers-ftp-mfxx).
    Mff "MFF" [] Required Member Waits On "MFF <SP> fact=value; <SP> path" [213 450 451 504 530 550 553];
    /// Octets that may still be stored (draft-peterson-streamlined-ftp).
    Avbl "AVBL" [] Optional Member Waits On "AVBL [<SP> path]" [213 450 451 530 550 553];
    /// Announces the transfer for which PASV comes next (distributed servers).
    Pret "PRET" [] Required Member Waits On "PRET <SP> command [<SP> path]" [200 530];
    /// Restart marker with an end (draft-bryan-ftp-range).
    Rang "RANG" [] Required Member Waits On "RANG <SP> first <SP> last" [350 530 551];
    /// Digest of a file or range (draft-bryan-ftpext-hash).
    Hash "HASH" [] Required Member Waits On "HASH <SP> path" [213 450 451 530 550 552 553 554];
    /// CRC-32 of a file (field lore).
    Xcrc "XCRC" [] Required Member Waits On "XCRC <SP> path [<SP> first <SP> end]" [250 450 451 530 550 553];
    /// MD5 of a file (field lore).
    Xmd5 "XMD5" [] Required Member Waits On "XMD5 <SP> path [<SP> first <SP> end]" [250 450 451 530 550 553];
    /// SHA-1 of a file (field lore).
    Xsha1 "XSHA1" ["XSHA"] Required Member Waits On "XSHA1 <SP> path [<SP> first <SP> end]" [250 450 451 530 550 553];
    /// SHA-256 of a file (field lore).
    Xsha256 "XSHA256" [] Required Member Waits On "XSHA256 <SP> path [<SP> first <SP> end]" [250 450 451 530 550 553];
    /// SHA-512 of a file (field lore).
    Xsha512 "XSHA512" [] Required Member Waits On "XSHA512 <SP> path [<SP> first <SP> end]" [250 450 451 530 550 553];
    /// MD5 of a file (draft-twine-ftpmd5).
    Md5 "MD5" [] Required Member Waits Off "MD5 <SP> path" [502];
    /// MD5 of many files (draft-twine-ftpmd5).
    Mmd5 "MMD5" [] Required Member Waits Off "MMD5 <SP> path, path ..." [502];
    /// Size of a directory tree (draft-peterson-streamlined-ftp).
    Dsiz "DSIZ" [] Optional Member Waits Off "DSIZ [<SP> path]" [502];
    /// Removes a directory tree (draft-peterson-streamlined-ftp).
    Rmda "RMDA" [] Required Member Waits Off "RMDA <SP> path" [502];
    /// Thumbnail of a picture (draft-peterson-streamlined-ftp).
    Thmb "THMB" [] Required Member Waits Off "THMB <SP> format <SP> width <SP> height <SP> path" [502];
    /// PORT with long addresses (RFC 1639). BSD clients fall through to PORT at the 502.
    Lprt "LPRT" [] Required Member Waits Off "LPRT <SP> family,length,h1,...,2,p1,p2" [502];
    /// PASV with long addresses (RFC 1639).
    Lpsv "LPSV" [] None Member Waits Off "LPSV" [502];
    /// Makes the server the TLS client on data connections (field lore).
    Sscn "SSCN" [] Optional Member Waits Off "SSCN [<SP> { ON | OFF }]" [502];
    /// PASV with the server as TLS client (field lore).
    Cpsv "CPSV" [] None Member Waits Off "CPSV" [502];
    /// Asked of few servers, standardised nowhere.
    Esta "ESTA" [] Optional Member Waits Off "ESTA" [502];
    /// Asked of few servers, standardised nowhere.
    Estp "ESTP" [] Optional Member Waits Off "ESTP" [502];
    /// Asked of few servers, standardised nowhere.
    Cepr "CEPR" [] Optional Member Waits Off "CEPR" [502];
    /// Sends to a terminal or mails (RFC 737, historic).
    Xsem "XSEM" [] Optional Member Waits Off "XSEM" [502];
    /// Sends to a terminal (RFC 737, historic).
    Xsen "XSEN" [] Optional Member Waits Off "XSEN" [502];
    /// Mail over the control connection (RFC 765, historic).
    Mail "MAIL" [] Optional Member Waits Off "MAIL" [502];
    /// Mail file (RFC 765, historic).
    Mlfl "MLFL" [] Optional Member Waits Off "MLFL" [502];
    /// Mail recipient scheme question (RFC 765, historic).
    Mrsq "MRSQ" [] Optional Member Waits Off "MRSQ" [502];
    /// Mail recipient (RFC 765, historic).
    Mrcp "MRCP" [] Optional Member Waits Off "MRCP" [502];
    /// Mail send to terminal (RFC 765, historic).
    Msnd "MSND" [] Optional Member Waits Off "MSND" [502];
    /// Mail send to terminal or mailbox (RFC 765, historic).
    Msom "MSOM" [] Optional Member Waits Off "MSOM" [502];
    /// Mail send to terminal and mailbox (RFC 765, historic).
    Msam "MSAM" [] Optional Member Waits Off "MSAM" [502];
}

/// All rows, in the order of [`Verb`].
pub static RULES: &[Rule] = TABLE;

/// The row of `verb`.
pub fn rule(verb: Verb) -> &'static Rule {
    // One macro writes both, so a verb's discriminant is its row.
    &RULES[verb as usize]
}

/// The row for a command word in any case, or `None` if no verb is spelled so.
pub fn find(word: &[u8]) -> Option<&'static Rule> {
    let key = pack(word)?;
    let (_, verb) = INDEX.get(INDEX.binary_search_by_key(&key, |entry| entry.0).ok()?)?;
    Some(rule(*verb))
}

/// A word in upper case as one number, first letter highest, so that comparing words is comparing
/// numbers. `None` where no verb can match: empty, longer than eight letters, or with other octets.
/// Those must not pass: a NUL would vanish in the padding.
const fn pack(word: &[u8]) -> Option<u64> {
    if word.is_empty() || word.len() > 8 {
        return None;
    }
    let mut key = 0;
    let mut at = 0;
    while at < 8 {
        key <<= 8;
        if at < word.len() {
            if !word[at].is_ascii_alphanumeric() {
                return None;
            }
            key |= word[at].to_ascii_uppercase() as u64;
        }
        at += 1;
    }
    Some(key)
}

const WORDS: usize = {
    let mut count = 0;
    let mut row = 0;
    while row < TABLE.len() {
        count += 1 + TABLE[row].aliases.len();
        row += 1;
    }
    count
};

/// Names and aliases, ascending by their packed form. Sorted by the compiler: a lookup costs seven
/// comparisons of registers and the table can stay in the order of the RFC.
static INDEX: [(u64, Verb); WORDS] = {
    let mut index = [(0, Verb::User); WORDS];
    let mut filled = 0;
    let mut row = 0;
    while row < TABLE.len() {
        let Rule { verb, name, aliases, .. } = TABLE[row];
        insert(&mut index, filled, name, verb);
        filled += 1;
        let mut alias = 0;
        while alias < aliases.len() {
            insert(&mut index, filled, aliases[alias], verb);
            filled += 1;
            alias += 1;
        }
        row += 1;
    }
    index
};

/// Insertion sort's inner step; runs in the compiler only, where a panic is a compile error.
const fn insert(index: &mut [(u64, Verb); WORDS], filled: usize, name: &str, verb: Verb) {
    let Some(key) = pack(name.as_bytes()) else {
        panic!("a verb is one to eight letters or digits");
    };
    let mut at = filled;
    while at > 0 && index[at - 1].0 >= key {
        assert!(index[at - 1].0 != key, "two verbs share a word");
        index[at] = index[at - 1];
        at -= 1;
    }
    index[at] = (key, verb);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_leads_to_its_row() {
        for (row, rule) in RULES.iter().enumerate() {
            assert_eq!(rule.verb as usize, row);
            for word in rule.aliases.iter().chain([&rule.name]) {
                let lower = word.to_ascii_lowercase();
                assert_eq!(find(word.as_bytes()).map(|r| r.verb), Some(rule.verb));
                assert_eq!(find(lower.as_bytes()).map(|r| r.verb), Some(rule.verb));
            }
        }
    }

    #[test]
    fn near_misses_find_nothing() {
        for word in ["", "USE", "USERS", "USER\0", "\0USER", "XSHA2567", "XSHA25678", "RE R", "P@SW"] {
            assert!(find(word.as_bytes()).is_none(), "{word:?}");
        }
    }

    #[test]
    fn rows_are_complete() {
        for rule in RULES {
            assert!(rule.syntax.starts_with(rule.name), "{}", rule.name);
            assert!(rule.replies.is_sorted_by(|a, b| a < b), "{}", rule.name);
            let takes = rule.syntax.contains("<SP>");
            assert!(takes || rule.argument != Argument::Required, "{}", rule.name);
            let refusal = if rule.status == Status::Off { 502 } else { 530 };
            let refused = rule.status == Status::Off || rule.when == When::Member;
            assert!(!refused || rule.replies.contains(&refusal), "{}", rule.name);
            for general in [421, 500, 501] {
                assert!(!rule.replies.contains(&general), "{}", rule.name);
            }
        }
    }

    #[test]
    fn stat_and_site_depend_on_their_argument() {
        let stat = rule(Verb::Stat);
        assert_eq!((stat.when_given(b""), stat.during_given(b"")), (When::Anyone, During::Acts));
        assert_eq!((stat.when_given(b"x"), stat.during_given(b"x")), (When::Member, During::Waits));
        let site = rule(Verb::Site);
        assert_eq!(site.when_given(b"help"), When::Anyone);
        assert_eq!(site.when_given(b" Help CHMOD"), When::Anyone);
        assert_eq!(site.when_given(b"helper"), When::Member);
        assert_eq!(site.when_given(b"CHMOD 644 help"), When::Member);
    }
}
