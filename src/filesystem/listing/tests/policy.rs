//! What the configuration rules about listings.

use super::*;
use crate::filesystem::policy::Policy;
use crate::filesystem::root::Guard;
use crate::filesystem::zone::Zone;

/// The same tree under a policy.
fn ruled(tree: Tree, policy: Policy) -> Tree {
    let root = Rc::new(Root::governed(&tree.at(""), Rc::new(policy), Guard::Open).expect("root"));
    Tree { root, ..tree }
}

#[test]
fn the_configured_bounds_hold() {
    let names: Vec<String> = (0..900).map(|number| format!("n{:03}", number * 7 % 900)).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let sorted = |policy| {
        let tree = ruled(Tree::with(&all), policy);
        let listed = tree.nlst("").expect("nlst");
        assert_eq!(listed.lines().count(), 901);
        listed.lines().is_sorted()
    };
    assert!(sorted(Policy::default()));
    assert!(!sorted(Policy { sort_names: 100, ..Policy::default() }));
    assert!(!sorted(Policy { sort_bytes: 1000, ..Policy::default() }));
    let tree = |steps| ruled(Tree::with(&["aaaaaaaa"]), Policy { pattern_steps: steps, ..Policy::default() });
    assert_eq!(tree(100).nlst("a*a*a").as_deref(), Ok("aaaaaaaa\r\n"));
    assert_eq!(tree(5).nlst("a*a*a"), Err(Fault::Os(Errno::NOENT)));
}

#[test]
fn denied_names_and_links_to_them_are_in_no_listing() {
    let tree = Tree::with(&["a.lnk", "b", ".h"]);
    symlink("a.lnk", tree.at("to-denied")).expect("link");
    symlink("b", tree.at("to-b")).expect("link");
    let deny = Box::new([Pattern::parse(b"*.lnk"), Pattern::parse(b"d")]);
    let tree = ruled(tree, Policy { deny, ..Policy::default() });
    assert_eq!(tree.names(""), ["b", "to-b -> b", "to-denied"]);
    assert_eq!(tree.nlst("*").expect("nlst"), "b\r\nto-b\r\nto-denied\r\n");
    assert_eq!(tree.list("a.lnk"), Err(Fault::Os(Errno::NOENT)));
    assert_eq!(tree.list("*.lnk"), Err(Fault::Os(Errno::NOENT)));
    let facts = tree.mlsd("/", "type;size", full()).expect("mlsd");
    let expected = "type=file;size=1; .h\r\ntype=file;size=1; b\r\ntype=file;size=1; to-b\r\n\
                    type=OS.unix=slink; to-denied\r\n";
    assert_eq!(facts, expected);
}

#[test]
fn dot_files_are_hidden_from_every_form_when_the_policy_says_so() {
    let tree = ruled(Tree::with(&[".h", "a"]), Policy { hide_dotfiles: true, ..Policy::default() });
    assert_eq!(tree.names("-a"), [".", "..", "a", "d"]);
    assert_eq!(tree.names("-A"), ["a", "d"]);
    assert_eq!(tree.nlst(".*"), Err(Fault::Os(Errno::NOENT)));
    assert!(!tree.mlsd("/", "type", full()).expect("mlsd").contains(".h"));
    assert_eq!(tree.names(".h"), [".h"], "named, it is there");
}

#[test]
fn a_link_is_told_about_by_the_rights_where_it_leads() {
    let tree = Tree::new();
    fs::create_dir(tree.at("in")).expect("mkdir");
    tree.file("in/x", 1, 0);
    symlink("in/x", tree.at("d/l")).expect("link");
    symlink("../in/x", tree.at("d/up")).expect("link");
    let (full, none) = (Rights::parse("full").expect("full"), Rights::NONE);
    let rules = |rights| Rules::new(full, [("/in", rights)]).expect("rules");
    let root = Rc::new(Root::governed(&tree.at(""), Rc::default(), Guard::Settled).expect("root"));
    let tree = Tree { root, ..tree };
    let told = |rights| tree.mlsd("/d", "type;size;perm", rules(rights)).expect("mlsd");
    let broken = "type=OS.unix=slink:in/x;perm=df; l\r\n";
    assert_eq!(told(none), format!("{broken}type=OS.unix=slink:../in/x;perm=df; up\r\n"));
    let read = Rights::parse("read").expect("read");
    assert_eq!(told(read), format!("{broken}type=file;size=1;perm=dfr; up\r\n"));
}

#[test]
fn a_whole_tree_is_listed_where_that_is_allowed() {
    let tree = || {
        let tree = Tree::with(&["z"]);
        fs::create_dir_all(tree.at("d/a/b")).expect("dirs");
        fs::create_dir(tree.at("d/c")).expect("dir");
        ["d/f", "d/a/g", "d/a/b/h", "d/.hidden"].iter().for_each(|name| tree.file(name, 1, 0));
        symlink("..", tree.at("d/c/up")).expect("link");
        tree
    };
    assert_eq!(tree().nlst("-R").expect("nlst"), "d\r\nz\r\n", "unless configured, the letter means nothing");
    let tree = ruled(tree(), Policy { recursive: true, ..Policy::default() });
    let below = "a\r\nc\r\nf\r\n\r\nd/a:\r\nb\r\ng\r\n\r\nd/a/b:\r\nh\r\n\r\nd/c:\r\nup\r\n";
    assert_eq!(recursive(&tree, "-R d", full()), below);
    assert_eq!(recursive(&tree, "-R d/", full()), below);
    let whole = recursive(&tree, "-R", full());
    assert!(
        whole.starts_with("d\r\nz\r\n\r\n./d:\r\na\r\nc\r\n") && whole.ends_with("\r\n./d/c:\r\nup\r\n"),
        "{whole}"
    );
    assert!(recursive(&tree, "-RA d", full()).starts_with(".hidden\r\na\r\n"));
    assert_eq!(recursive(&tree, "-Rr d", full()).lines().next(), Some("f"));
    let rules = Rules::new(Rights::parse("full").expect("full"), [("/d/a", Rights::NONE)]).expect("rules");
    assert_eq!(recursive(&tree, "-R d", rules), "a\r\nc\r\nf\r\n\r\nd/c:\r\nup\r\n");
    let long = recursive(&tree, "-lR d/a", full());
    assert!(long.contains(" b\r\n") && long.contains("\r\n\r\nd/a/b:\r\n-rw-r--r--"), "{long}");
}

#[test]
fn a_tree_with_too_many_entries_is_listed_in_part() {
    let tree = ruled(Tree::with(&["d/a", "d/b", "z"]), Policy { recursive: true, ..Policy::default() });
    let mut listing = tree.open(tree.request("-R"), full()).expect("open");
    listing.below.as_mut().expect("recursive").most_lines = 3;
    let mut out = Vec::new();
    while listing.fill(&mut out, 1).expect("fill") == Fill::More {}
    assert_eq!(listing.listed(), 3);
    assert!(out.ends_with(b" a\r\n"));
}

fn recursive(tree: &Tree, argument: &str, rules: Rules) -> String {
    let cwd = VirtualPath::root();
    let request = Request::parse_nlst(Some(argument.as_bytes()), &cwd, &tree.root).expect("path");
    let mut listing = tree.open(request, rules).expect("open");
    let mut out = Vec::new();
    let calls = (0..1000).take_while(|_| listing.fill(&mut out, 1).expect("fill") == Fill::More).count();
    assert!(calls < 999);
    String::from_utf8(out).expect("utf-8")
}

#[test]
fn local_time_moves_the_dates_of_lines_and_of_nothing_else() {
    let tree = Tree::with(&["now"]);
    tree.file("summer", 1, 200 * 86_400); // 2025-08-21 17:25, shown as a year
    tree.file("autumn", 1, 140 * 86_400); // 2025-10-20 17:25, before the clocks change
    let zone = Zone::named("CET-1CEST,M3.5.0,M10.5.0/3").expect("a rule");
    let tree = ruled(tree, Policy { zone, ..Policy::default() });
    let lines = tree.list("").expect("list");
    assert!(lines.contains(" Mar  9 18:25 now") && lines.contains(" Oct 20 19:25 autumn"), "{lines}");
    assert!(lines.contains(" Aug 21  2025 summer"));
    assert!(tree.mlsd("/", "modify", full()).expect("mlsd").contains("modify=20260309172500; now"));
}
