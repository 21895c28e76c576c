//! What LIST, NLST, MLSD and STAT were asked for: options as ls(1) has them, a path, perhaps a pattern.

use crate::filesystem::path::{PathFault, VirtualPath};
use crate::filesystem::pattern::Pattern;
use crate::filesystem::root::{Last, Root};
use crate::wire::listing::FactSet;

/// Most words read as options. Each costs a look whether a file has that name, so a line full of them must
/// end somewhere; nobody types more than three.
const OPTION_WORDS: usize = 16;

/// How entries are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// LIST, STAT: lines as of ls -l.
    Long,
    /// NLST: names. Those of a file or a pattern come after `prefix`, the directory as the client typed it
    /// with its slash, so that they can be sent back in RETR; of a directory argument come bare names.
    Names {
        /// Empty, or ending in `/`.
        prefix: Vec<u8>,
    },
    /// MLSD: facts.
    Facts(FactSet),
}

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By the bytes of the name.
    Name,
    /// The newest.
    Time,
    /// The largest.
    Size,
    /// As the directory has them.
    None,
}

/// What to list, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// How entries are shown.
    pub form: Form,
    /// The directory or file; with a pattern its directory.
    pub path: VirtualPath,
    /// `-a`, `-A`: names that begin with a dot too. MLSD always shows them.
    pub hidden: bool,
    /// `-a`: `.` and `..` too, in the long form only.
    pub dots: bool,
    /// `-L`: what links lead to instead of the links.
    pub follow: bool,
    /// `-d`: the directory itself, not what is in it.
    pub itself: bool,
    /// The argument named the directory by no name of its own: a line about it says `.`.
    pub unnamed: bool,
    /// `-t`, `-S`, `-U`, `-f`.
    pub order: Order,
    /// `-r`; without an order there is none to reverse.
    pub reverse: bool,
    /// What names must match.
    pub pattern: Option<Pattern>,
    /// `-R`, where the tree's policy knows it: what is below, too. What the client called the directory.
    pub below: Option<Vec<u8>>,
}

impl Request {
    /// Reads the argument of LIST or of STAT with a path, for a session in `cwd`.
    ///
    /// An argument that exists literally wins over its reading as options, and over that as a pattern; that
    /// is what `root` is asked for, once for each such reading and else not at all.
    pub fn parse_list(argument: Option<&[u8]>, cwd: &VirtualPath, root: &Root) -> Result<Self, PathFault> {
        let (options, path) = split(argument.unwrap_or_default(), cwd, root);
        Self::read(options, path, Form::Long, cwd, root)
    }

    /// Reads the argument of NLST; with `-l` it asks for the long form.
    pub fn parse_nlst(argument: Option<&[u8]>, cwd: &VirtualPath, root: &Root) -> Result<Self, PathFault> {
        let (options, path) = split(argument.unwrap_or_default(), cwd, root);
        let directory = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
        let prefix = path.get(..directory).unwrap_or_default().to_vec();
        let form = if options.long { Form::Long } else { Form::Names { prefix } };
        Self::read(options, path, form, cwd, root)
    }

    /// MLSD of a path, which is literal (RFC 3659 section 2.2.2).
    pub fn facts(path: VirtualPath, facts: FactSet) -> Self {
        Self {
            form: Form::Facts(facts),
            path,
            hidden: true,
            dots: false,
            follow: false,
            itself: false,
            unnamed: false,
            order: Order::Name,
            reverse: false,
            pattern: None,
            below: None,
        }
    }

    /// Whether a path that is no directory gives one line, rather than being a fault.
    pub(super) fn lists_files(&self) -> bool {
        !matches!(self.form, Form::Facts(_)) && self.pattern.is_none()
    }

    fn read(options: Options, path: &[u8], form: Form, cwd: &VirtualPath, root: &Root) -> Result<Self, PathFault> {
        let mut resolved = cwd.resolve(path)?;
        let last = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let mut pattern = None;
        if Pattern::is_special(last) && !exists(root, resolved.clone()) {
            pattern = Some(Pattern::parse(last));
            resolved = resolved.parent();
        }
        let Options { hidden, dots, follow, itself, order, reverse, recursive, .. } = options;
        let below = recursive && root.policy().recursive && pattern.is_none() && !itself;
        Ok(Self {
            form,
            path: resolved,
            hidden,
            dots,
            follow,
            itself: itself && pattern.is_none(),
            unnamed: matches!(last, b"" | b"."),
            order,
            reverse,
            pattern,
            below: below.then(|| called(path)),
        })
    }
}

#[derive(Debug)]
struct Options {
    hidden: bool,
    dots: bool,
    follow: bool,
    itself: bool,
    order: Order,
    reverse: bool,
    long: bool,
    recursive: bool,
}

impl Options {
    /// Takes the letters of one word. Unknown ones mean nothing, as `-F` does: clients send what their own ls
    /// knows.
    fn take(&mut self, letters: &[u8]) {
        for letter in letters {
            match letter {
                b'a' => (self.hidden, self.dots) = (true, true),
                b'A' => self.hidden = true,
                b'L' => self.follow = true,
                b'd' => self.itself = true,
                b't' => self.order = Order::Time,
                b'S' => self.order = Order::Size,
                b'U' => self.order = Order::None,
                b'f' => (self.order, self.hidden, self.dots) = (Order::None, true, true),
                b'r' => self.reverse = true,
                b'l' => self.long = true,
                b'R' => self.recursive = true,
                _ => {}
            }
        }
    }
}

/// Takes the option words off the front; what is left is the path.
fn split<'a>(argument: &'a [u8], cwd: &VirtualPath, root: &Root) -> (Options, &'a [u8]) {
    let mut options = Options {
        hidden: false,
        dots: false,
        follow: false,
        itself: false,
        order: Order::Name,
        reverse: false,
        long: false,
        recursive: false,
    };
    let exists = |text| cwd.resolve(text).is_ok_and(|path| exists(root, path));
    let mut rest = argument;
    for _ in 0..OPTION_WORDS {
        let is_option = rest.starts_with(b"-") && rest != b"-" && !exists(rest);
        if !is_option {
            break;
        }
        let blank = rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len());
        let (word, after) = rest.split_at(blank);
        // One blank ends the word; a second one belongs to the path, unless there is none.
        let (path, trimmed) = (after.get(1..).unwrap_or_default(), after.trim_ascii_start());
        let goes_on = trimmed.is_empty() || (trimmed.starts_with(b"-") && word != b"--");
        rest = if goes_on { trimmed } else { path };
        if word == b"--" {
            break;
        }
        options.take(word);
    }
    (options, rest)
}

fn exists(root: &Root, path: VirtualPath) -> bool {
    root.settle(path, Last::Keep).is_ok_and(|path| root.lstat(&path).is_ok())
}

/// A directory as the client typed it, so that names can be put after it and a slash.
fn called(path: &[u8]) -> Vec<u8> {
    match path {
        b"" => b".".to_vec(),
        path => path.strip_suffix(b"/").unwrap_or(path).to_vec(),
    }
}
