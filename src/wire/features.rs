//! The reply to FEAT (RFC 2389 section 3) as a client reads it.
//!
//! The RFC's form is one blank, a label, parameters. Servers also send no blank, the code before each line, or
//! everything in one line, so labels are looked for wherever a line begins.

use super::reply::Reply;

/// What a server says it can do. Absent means not said, which is not the same as not able.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Features {
    /// MLST and MLSD, with the facts it knows, lower case.
    pub mlst: Option<Vec<String>>,
    /// HASH, with its algorithms in upper case, the selected one first.
    pub hash: Vec<String>,
    /// Everything else: label and parameters in upper case, blanks single.
    pub others: Vec<String>,
}

impl Features {
    /// Reads the texts of a 211 reply; the first and the last line are prose and name no feature of note.
    pub fn parse(reply: &Reply) -> Self {
        let mut features = Self::default();
        for text in reply.texts() {
            let text = String::from_utf8_lossy(text);
            features.line(strip(&text));
        }
        features
    }

    /// Whether a label was listed; of several words all must be there in order (`REST STREAM`).
    pub fn has(&self, label: &str) -> bool {
        match label {
            "MLST" => self.mlst.is_some(),
            "HASH" => !self.hash.is_empty(),
            _ => self.others.iter().any(|other| begins_with_words(other, label)),
        }
    }

    /// Whether MLSD will tell this fact.
    pub fn has_fact(&self, fact: &str) -> bool {
        self.mlst.as_ref().is_some_and(|facts| facts.iter().any(|known| known == fact))
    }

    fn line(&mut self, line: &str) {
        let (label, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        match label.to_ascii_uppercase().as_str() {
            "" => {}
            "MLST" | "MLSD" => {
                let facts = list(rest).map(|fact| fact.trim_end_matches('*').to_ascii_lowercase());
                self.mlst.get_or_insert_default().extend(facts);
            }
            "HASH" => {
                let mut names: Vec<String> = list(rest).map(str::to_ascii_uppercase).collect();
                names.sort_by_key(|name| !name.ends_with('*'));
                self.hash = names.into_iter().map(|name| name.trim_end_matches('*').to_owned()).collect();
            }
            label => {
                let words = rest.split_whitespace().map(str::to_ascii_uppercase);
                let all: Vec<String> = std::iter::once(label.to_owned()).chain(words).collect();
                self.others.push(all.join(" "));
            }
        }
    }
}

/// Takes off blanks and a code that some servers repeat on every line.
fn strip(line: &str) -> &str {
    let line = line.trim();
    let bare = line.strip_prefix("211-").or_else(|| line.strip_prefix("211 ")).unwrap_or(line);
    bare.trim()
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split([';', ' ', '\t']).map(str::trim).filter(|part| !part.is_empty())
}

fn begins_with_words(line: &str, words: &str) -> bool {
    match line.strip_prefix(words) {
        Some(rest) => rest.is_empty() || rest.starts_with([' ', ';', ',']),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::reply::ReplyReader;

    fn features(raw: &str) -> Features {
        let mut reader = ReplyReader::new();
        reader.feed(raw.as_bytes(), &mut Vec::new());
        let reply = reader.next().expect("a reply").expect("within limits");
        Features::parse(&reply)
    }

    #[test]
    fn the_forms_of_the_field() {
        for raw in [
            "211-Features:\r\n MLST type*;size*;Modify*;\r\n EPSV\r\n REST STREAM\r\n HASH SHA-1;SHA-256*;\r\n211 End\r\n",
            "211-Extensions\r\n211-MLST Type*;Size*;Modify*\r\n211-EPSV\r\n211-REST STREAM\r\n211-HASH SHA-256*;SHA-1\r\n211 end\r\n",
            "211-\r\nMLST size;type;modify;\r\nepsv\r\nrest  stream\r\nhash sha-256*;sha-1\r\n211 END\r\n",
        ] {
            let found = features(raw);
            assert!(found.has("MLST") && found.has_fact("modify") && found.has_fact("size"), "{raw}");
            assert!(found.has("EPSV") && found.has("REST STREAM") && !found.has("REST STREAMS"), "{raw}");
            assert_eq!(found.hash, ["SHA-256", "SHA-1"], "{raw}");
            assert!(!found.has("MFMT"), "{raw}");
        }
        assert!(features("211-x\r\n AUTH TLS;TLS-C;SSL;\r\n211 x\r\n").has("AUTH TLS"));
        assert_eq!(features("211 no features\r\n").mlst, None);
    }
}
