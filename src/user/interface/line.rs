//! The shell's language: words, quotes, several commands on a line.

use crate::user::text::Shown;

/// A command as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Typed {
    /// Verb and arguments.
    pub words: Vec<String>,
    /// `&` at the end: leave it in the background.
    pub background: bool,
    /// `!`: the rest of the line is for the system's shell.
    pub escape: Option<String>,
    /// `|` behind the words: the rest of the line is a command of the system's shell that reads what this one writes.
    pub pipe: Option<String>,
}

/// Why a line cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unclosed;

/// A line up to the cursor, as completion needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The words of the last command that are complete.
    pub words: Vec<String>,
    /// Where the word begins that is being typed, in bytes; all behind it is [`Unfinished::begun`] as it was typed.
    pub start: usize,
    /// That word so far, as the command would get it.
    pub begun: String,
    /// It stands in quotes that are still open.
    pub quoted: bool,
}

/// Reads a line: commands are set apart by `;`, words by blanks. Single quotes keep everything, double quotes all but
/// `\`, which keeps the next character. At the beginning of a word `#` makes the rest a comment and `|`, unless it is the
/// first word, a command of the system's shell, `;` included.
///
/// # Errors
/// A quote is not closed.
pub fn read(line: &str) -> Result<Vec<Typed>, Unclosed> {
    let mut commands = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        if let Some(escape) = rest.strip_prefix('!') {
            // What stands behind it is not ours to read, `;` included.
            commands.push(Typed { escape: Some(escape.trim().to_owned()), ..Typed::default() });
            break;
        }
        let Command { mut words, last, end } = command(rest);
        words.extend(last.map(|(_, word)| word));
        let (background, pipe, behind) = match end {
            End::Mark { background, behind } => (background, None, behind),
            End::Pipe(reader) => (false, Some(reader.trim().to_owned()), ""),
            End::Line | End::Comment => (false, None, ""),
            End::Quote | End::Backslash => return Err(Unclosed),
        };
        if !words.is_empty() {
            commands.push(Typed { words, background, pipe, escape: None });
        }
        rest = behind.trim_start();
    }
    Ok(commands)
}

/// Reads a line that ends where the cursor stands. `None`: no word is being typed there, but a comment or a command for
/// the system's shell.
pub fn unfinished(line: &str) -> Option<Unfinished> {
    let mut rest = line.trim_start();
    loop {
        if rest.starts_with('!') {
            return None;
        }
        let Command { words, last, end } = command(rest);
        let quoted = match end {
            End::Mark { behind, .. } => {
                rest = behind.trim_start();
                continue;
            }
            End::Comment | End::Pipe(_) => return None,
            End::Quote => true,
            End::Line | End::Backslash => false,
        };
        let (at, begun) = last.unwrap_or((rest.len(), String::new()));
        return Some(Unfinished { words, start: line.len() - rest.len() + at, begun, quoted });
    }
}

/// A name so that [`read`] takes it for one word and gives it back as it is, whatever a server has put into it. `None`:
/// a line cannot hold it, since it would steer the terminal.
pub fn escaped(name: &str) -> Option<String> {
    /// What means nothing in the language, nor is likely to. All else is kept from meaning something.
    const PLAIN: &str = "._-/+,=:@%~^";
    if Shown(name.as_bytes()).to_string() != name {
        return None;
    }
    let plain = |letter: char| {
        let foreign = !letter.is_ascii() && !letter.is_whitespace();
        letter.is_ascii_alphanumeric() || foreign || PLAIN.contains(letter)
    };
    let mut line = String::with_capacity(name.len());
    for letter in name.chars() {
        if !plain(letter) {
            line.push('\\');
        }
        line.push(letter);
    }
    Some(line)
}

/// What stands up to the end of a command.
struct Command<'a> {
    words: Vec<String>,
    /// The word at the very end, and where it begins.
    last: Option<(usize, String)>,
    end: End<'a>,
}

/// What a command ends with.
enum End<'a> {
    /// The end of the line.
    Line,
    /// `;` or `&`.
    Mark { background: bool, behind: &'a str },
    /// `#`
    Comment,
    /// `|`, and what is behind it.
    Pipe(&'a str),
    /// The end of the line in quotes.
    Quote,
    /// The end of the line behind a backslash.
    Backslash,
}

fn command(line: &str) -> Command<'_> {
    let mut words = Vec::new();
    let mut last: Option<(usize, String)> = None;
    let mut letters = line.char_indices();
    while let Some((at, letter)) = letters.next() {
        let end = match letter {
            ';' | '&' => Some(End::Mark { background: letter == '&', behind: line.get(at + 1..).unwrap_or_default() }),
            '#' if last.is_none() => Some(End::Comment),
            '|' if last.is_none() && !words.is_empty() => Some(End::Pipe(line.get(at + 1..).unwrap_or_default())),
            ' ' | '\t' => {
                words.extend(last.take().map(|(_, word)| word));
                None
            }
            '\'' | '"' => quoted(letter, &mut letters, word_at(&mut last, at)).err().map(|Unclosed| End::Quote),
            '\\' => {
                let word = word_at(&mut last, at);
                letters.next().map_or(Some(End::Backslash), |(_, kept)| {
                    word.push(kept);
                    None
                })
            }
            other => {
                word_at(&mut last, at).push(other);
                None
            }
        };
        if let Some(end) = end {
            return Command { words, last, end };
        }
    }
    Command { words, last, end: End::Line }
}

fn word_at(last: &mut Option<(usize, String)>, at: usize) -> &mut String {
    &mut last.get_or_insert_with(|| (at, String::new())).1
}

fn quoted(quote: char, letters: &mut std::str::CharIndices<'_>, word: &mut String) -> Result<(), Unclosed> {
    loop {
        match letters.next().ok_or(Unclosed)?.1 {
            end if end == quote => return Ok(()),
            '\\' if quote == '"' => word.push(letters.next().ok_or(Unclosed)?.1),
            other => word.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Vec<(Vec<String>, bool)> {
        read(line).expect("closed").into_iter().map(|typed| (typed.words, typed.background)).collect()
    }

    fn one(words: &[&str], background: bool) -> (Vec<String>, bool) {
        (words.iter().map(|word| (*word).to_owned()).collect(), background)
    }

    #[test]
    fn words_and_commands() {
        assert_eq!(words("get a b"), [one(&["get", "a", "b"], false)]);
        assert_eq!(words(" cd x;; ls # y; z"), [one(&["cd", "x"], false), one(&["ls"], false)]);
        assert_eq!(words("get big & ls"), [one(&["get", "big"], true), one(&["ls"], false)]);
        assert_eq!(
            words(r#"put "a b" 'c"d' e\ f "g\"h" """#),
            [one(&["put", "a b", "c\"d", "e f", "g\"h", ""], false)]
        );
        assert_eq!(read("get 'x"), Err(Unclosed));
        assert_eq!(read("! ls; pwd").expect("closed")[0].escape.as_deref(), Some("ls; pwd"));
        for (line, words, pipe) in [
            ("ls |less; x & 'y", vec!["ls"], Some("less; x & 'y")),
            ("cat a | head -c 5", vec!["cat", "a"], Some("head -c 5")),
            (r#"get a "|cat" b|c \|d"#, vec!["get", "a", "|cat", "b|c", "|d"], None),
            ("|ls", vec!["|ls"], None),
        ] {
            let typed = read(line).expect("closed").remove(0);
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            assert_eq!((typed.words, typed.pipe.as_deref(), typed.background), (words, pipe, false), "{line}");
        }
        let both = read("get a; !cat 'a;").expect("nothing to be closed");
        assert_eq!((both.len(), both[1].escape.as_deref()), (2, Some("cat 'a;")));
    }

    #[test]
    fn the_word_at_the_cursor_is_found_by_the_language_and_not_by_blanks() {
        let at = |line: &str| unfinished(line).map(|word| (word.words.join("|"), word.start, word.begun, word.quoted));
        let some = |words: &str, start, begun: &str, quoted| Some((words.to_owned(), start, begun.to_owned(), quoted));
        assert_eq!(at(""), some("", 0, "", false));
        assert_eq!(at("ge"), some("", 0, "ge", false));
        assert_eq!(at("get "), some("get", 4, "", false));
        assert_eq!(at(r"get a\ b\;c"), some("get", 4, "a b;c", false));
        assert_eq!(at(r#"get "a; b"#), some("get", 4, "a; b", true));
        assert_eq!(at("get 'a;' b"), some("get|a;", 9, "b", false));
        assert_eq!(at(r"cd x; ls a\"), some("ls", 9, "a", false));
        assert_eq!(at("get a & pu"), some("", 8, "pu", false));
        for line in ["!cat x", "ls; !cat x", "ls # x", "ls | x"] {
            assert_eq!(at(line), None, "{line}");
        }
    }

    proptest! {
        /// Whatever a server calls its files, a name in a line stays one word of the one command.
        #[test]
        fn a_name_is_one_word_and_never_a_command(
            name in r#"[ -~\t\n\x1bä\u{202e}\u{a0}]{1,12}|[;&#"'\\!| *a]{1,8}"#,
        ) {
            let Some(safe) = escaped(&name) else {
                prop_assert_ne!(Shown(name.as_bytes()).to_string(), name);
                return Ok(());
            };
            for (before, commands, words) in [("get ", 1, 2), ("ls; get a ", 2, 3), ("get 'x;' ", 1, 3)] {
                let line = format!("{before}{safe}");
                let all = read(&line).expect("closed");
                let last = all.last().expect("a command");
                prop_assert_eq!((all.len(), last.words.len(), last.words.last()), (commands, words, Some(&name)));
                prop_assert!(!last.background && last.escape.is_none() && last.pipe.is_none());
                let typed = unfinished(&line).expect("a word");
                prop_assert_eq!((typed.start, typed.begun), (before.len(), name.clone()));
            }
            prop_assert_eq!(read(&safe), Ok(vec![Typed { words: vec![name], ..Typed::default() }]));
        }
    }
}
