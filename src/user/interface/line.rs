//! The shell's language: words, quotes, several commands on a line.

/// A command as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// Verb and arguments.
    pub words: Vec<String>,
    /// `&` at the end: leave it in the background.
    pub background: bool,
    /// `!`: the rest of the line is for the system's shell.
    pub escape: Option<String>,
}

/// Why a line cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unclosed;

/// Reads a line: commands are set apart by `;`, words by blanks. Single quotes keep everything, double quotes all but
/// `\`, which keeps the next character; `#` at a word's beginning makes the rest a comment.
///
/// # Errors
/// A quote is not closed.
pub fn read(line: &str) -> Result<Vec<Typed>, Unclosed> {
    let mut commands = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        if let Some(escape) = rest.strip_prefix('!') {
            // What stands behind it is not ours to read, `;` included.
            commands.push(Typed { words: Vec::new(), background: false, escape: Some(escape.trim().to_owned()) });
            break;
        }
        let (words, background, behind) = command(rest)?;
        if !words.is_empty() {
            commands.push(Typed { words, background, escape: None });
        }
        rest = behind.trim_start();
    }
    Ok(commands)
}

fn command(line: &str) -> Result<(Vec<String>, bool, &str), Unclosed> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            ';' | '&' => {
                words.extend(word.take());
                return Ok((words, letter == '&', line.get(at + 1..).unwrap_or_default()));
            }
            '#' if word.is_none() => break,
            ' ' | '\t' => words.extend(word.take()),
            '\'' | '"' => quoted(letter, &mut letters, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(letters.next().ok_or(Unclosed)?.1),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok((words, false, ""))
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
        let both = read("get a; !cat 'a;").expect("nothing to be closed");
        assert_eq!((both.len(), both[1].escape.as_deref()), (2, Some("cat 'a;")));
    }
}
