//! The client against our own server: verbs, mirrors, the shell, exit codes.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// A server of a directory, and a directory for the client.
struct Pair {
    server: Child,
    port: String,
    there: tempfile::TempDir,
    here: tempfile::TempDir,
}

impl Pair {
    fn new() -> Self {
        Self::with(&["-w"])
    }

    fn with(options: &[&str]) -> Self {
        let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_miniftpd"));
        command
            .args(["--port", "0"])
            .args(options)
            .arg(there.path())
            .env("MINIFTPD_PASSWORD", "hunter2")
            .env("MINIFTPD_SANDBOX_AUDIT", "1");
        let mut server = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(server.stderr.take().unwrap());
        let port = loop {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "the server ended");
            if line.contains("listening on ") {
                break line.trim_end().rsplit(':').next().unwrap().to_owned();
            }
        };
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
        Self { server, port, there, here }
    }

    fn url(&self, path: &str) -> String {
        format!("ftp://127.0.0.1:{}/{path}", self.port)
    }

    fn there(&self, name: &str) -> PathBuf {
        self.there.path().join(name)
    }

    fn here(&self, name: &str) -> PathBuf {
        self.here.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_miniftp"));
        command.args(arguments).current_dir(self.here.path()).stdin(Stdio::null());
        command.env("HOME", self.here.path()).env_remove("MINIFTP_PASSWORD").env_remove("NETRC");
        command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_STATE_HOME");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        eprintln!("{arguments:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        output
    }

    fn code(&self, arguments: &[&str]) -> i32 {
        self.run(arguments).status.code().unwrap_or(-1)
    }

    /// What commands of the shell print.
    fn shell(&self, commands: &str) -> String {
        let output = self.run(&["-q", "-e", commands, &self.url("")]);
        assert_eq!(output.status.code(), Some(0), "{commands}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn set_time(path: &Path, seconds: u64) {
    let when = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    fs::File::options().append(true).open(path).unwrap().set_modified(when).unwrap();
}

/// Every file below a directory, with its contents.
fn tree(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path)
            } else {
                found.push((path.strip_prefix(root).unwrap().into(), fs::read(path).unwrap()))
            }
        }
    }
    found.sort();
    found
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 251) as u8).collect()
}

#[test]
fn files_keep_their_contents_and_times_both_ways() {
    let pair = Pair::new();
    write(&pair.there("a b"), &content(300_000));
    set_time(&pair.there("a b"), 1_600_000_000);
    assert_eq!(pair.code(&["get", "--verify", &pair.url("a%20b")]), 0);
    assert_eq!(fs::read(pair.here("a b")).unwrap(), content(300_000));
    assert_eq!(fs::metadata(pair.here("a b")).unwrap().mtime(), 1_600_000_000);
    assert_eq!(pair.code(&["put", "--verify", "a b", &pair.url("c")]), 0);
    assert_eq!(fs::read(pair.there("c")).unwrap(), content(300_000));
    assert_eq!(fs::metadata(pair.there("c")).unwrap().mtime(), 1_600_000_000);
    assert_eq!(pair.code(&["check", "a b", &pair.url("c")]), 0);
    write(&pair.there("c"), &content(300_001)[1..]);
    assert_eq!(pair.code(&["check", "a b", &pair.url("c")]), 9);
}

#[test]
fn streams_in_and_out() {
    let pair = Pair::new();
    let mut put = pair.command(&["put", "-", &pair.url("in")]).stdin(Stdio::piped()).spawn().unwrap();
    let mut pipe = put.stdin.take().unwrap();
    for _ in 0..3 {
        pipe.write_all(&content(70_000)).unwrap();
    }
    drop(pipe);
    assert_eq!(put.wait().unwrap().code(), Some(0));
    assert_eq!(fs::read(pair.there("in")).unwrap(), content(70_000).repeat(3));
    assert_eq!(pair.run(&["cat", &pair.url("in"), &pair.url("in")]).stdout, content(70_000).repeat(6));
    assert_eq!(pair.run(&["get", &pair.url("in"), "-o", "-"]).stdout, content(70_000).repeat(3));
}

#[test]
fn a_pipe_is_written_to_and_stays() {
    let pair = Pair::new();
    write(&pair.there("in"), &content(300_000));
    assert!(Command::new("mkfifo").arg(pair.here("pipe")).status().unwrap().success());
    let pipe = pair.here("pipe");
    let reader = std::thread::spawn(move || fs::read(pipe).unwrap());
    assert_eq!(pair.code(&["get", &pair.url("in"), "-o", "pipe"]), 0);
    let kind = fs::symlink_metadata(pair.here("pipe")).unwrap().file_type();
    assert!(kind.is_fifo(), "another file has its name: {kind:?}");
    assert_eq!(reader.join().unwrap(), content(300_000));
}

#[test]
fn text_mode_changes_line_ends_only() {
    let pair = Pair::new();
    write(&pair.there("t"), b"a\nb\r\nc");
    assert_eq!(pair.run(&["--ascii", "cat", &pair.url("t")]).stdout, b"a\nb\nc");
    write(&pair.here("u"), b"x\ny\n");
    assert_eq!(pair.code(&["put", "u", &pair.url("v;type=a")]), 0);
    assert_eq!(fs::read(pair.there("v")).unwrap(), b"x\ny\n");
}

#[test]
fn a_tree_goes_from_server_to_server() {
    let (from, to) = (Pair::new(), Pair::new());
    for at in 0..150 {
        write(&from.there(&format!("tree/d{}/e {}/f{at}", at % 3, at % 2)), &content(at * 37));
    }
    write(&to.there("old/tree/extra/x"), b"x");
    let stop_over = from.here("tmp");
    fs::create_dir(&stop_over).unwrap();
    let mirror = |more: &[&str], target: &str| {
        let (source, target) = (from.url("tree"), to.url(target));
        let arguments = [more, &["mirror", &source, &target]].concat();
        let output = from.command(&arguments).env("TMPDIR", &stop_over).output().unwrap();
        assert_eq!(fs::read_dir(&stop_over).unwrap().count(), 0, "nothing stays behind");
        (output.status.code().unwrap(), output.stdout.len())
    };
    assert_eq!(mirror(&["-q", "--dry-run"], "new/copy"), (0, 0));
    assert!(!to.there("new").exists());
    assert_eq!(mirror(&["-q"], "new/copy"), (0, 0));
    assert_eq!(tree(&from.there("tree")), tree(&to.there("new/copy")));
    // Times came along, so nothing is moved twice.
    assert_eq!(mirror(&["--json"], "new/copy"), (0, 0));
    assert_eq!(mirror(&["-q", "--delete"], "old/tree"), (0, 0));
    assert_eq!(tree(&from.there("tree")), tree(&to.there("old/tree")));
    let none =
        from.command(&["mirror", &from.url("nowhere"), &to.url("x")]).env("TMPDIR", &stop_over).output().unwrap();
    assert_eq!(none.status.code(), Some(5));
}

#[test]
fn a_tree_comes_and_goes() {
    let pair = Pair::new();
    for at in 0..120 {
        write(&pair.there(&format!("tree/d{}/e{}/f{at}", at % 7, at % 3)), &content(at * 37));
    }
    fs::create_dir_all(pair.there("tree/empty")).unwrap();
    assert_eq!(pair.code(&["mirror", &pair.url("tree"), "copy"]), 0);
    assert_eq!(tree(&pair.there("tree")), tree(&pair.here("copy")));
    assert!(pair.here("copy/empty").is_dir());
    assert_eq!(pair.code(&["mirror", "copy", &pair.url("deep/new/place")]), 0);
    assert_eq!(tree(&pair.there("tree")), tree(&pair.there("deep/new/place")));
    // Nothing is moved twice.
    let again = pair.run(&["--json", "mirror", &pair.url("tree"), "copy"]);
    assert_eq!((again.status.code(), again.stdout.len()), (Some(0), 0));
    let again = pair.run(&["--json", "mirror", "copy", &pair.url("deep/new/place")]);
    assert_eq!((again.status.code(), again.stdout.len()), (Some(0), 0));
}

#[test]
fn mirrors_remove_filter_and_only_say() {
    let pair = Pair::new();
    for name in ["a.txt", "b.bin", "sub/c.txt", "tmp/d.txt"] {
        write(&pair.there(&format!("t/{name}")), name.as_bytes());
    }
    let url = pair.url("t");
    let names = |root: &Path| tree(root).into_iter().map(|(path, _)| path.display().to_string()).collect::<Vec<_>>();
    assert_eq!(pair.code(&["mirror", "--dry-run", &url, "m"]), 0);
    assert!(!pair.here("m").exists());
    assert_eq!(pair.code(&["mirror", "--include", "*.txt", "--exclude", "tmp", &url, "m"]), 0);
    assert_eq!(names(&pair.here("m")), ["a.txt", "sub/c.txt"]);
    write(&pair.here("m/extra"), b"x");
    write(&pair.here("m/more/extra"), b"x");
    assert_eq!(pair.code(&["mirror", "--delete", &url, "m"]), 0);
    assert_eq!(names(&pair.here("m")), ["a.txt", "b.bin", "sub/c.txt", "tmp/d.txt"]);
    fs::remove_dir_all(pair.here("m/sub")).unwrap();
    fs::remove_file(pair.here("m/a.txt")).unwrap();
    assert_eq!(pair.code(&["mirror", "--delete", "m", &url]), 0);
    assert_eq!(names(&pair.there("t")), ["b.bin", "tmp/d.txt"]);
    assert!(!pair.there("t/sub").exists());
}

#[test]
fn only_what_is_newer() {
    let pair = Pair::new();
    write(&pair.there("t/old"), b"there");
    write(&pair.there("t/new"), b"there");
    write(&pair.here("m/old"), b"here!");
    write(&pair.here("m/new"), b"here!");
    for (path, when) in [("t/old", 1_000), ("t/new", 3_000)] {
        set_time(&pair.there(path), when);
    }
    set_time(&pair.here("m/old"), 2_000);
    set_time(&pair.here("m/new"), 2_000);
    assert_eq!(pair.code(&["mirror", "--newer", &pair.url("t"), "m"]), 0);
    assert_eq!(fs::read(pair.here("m/old")).unwrap(), b"here!");
    assert_eq!(fs::read(pair.here("m/new")).unwrap(), b"there");
}

#[test]
fn json_is_one_object_a_line() {
    let pair = Pair::new();
    write(&pair.there("x"), b"hello");
    set_time(&pair.there("x"), 1_710_003_909);
    fs::create_dir(pair.there("y")).unwrap();
    let listed = String::from_utf8(pair.run(&["ls", "--json", &pair.url("")]).stdout).unwrap();
    let lines: Vec<&str> = listed.lines().collect();
    assert!(
        lines[0].starts_with(r#"{"name":"x","type":"file","size":5,"modify":"2024-03-09T17:05:09Z","mode":"06"#),
        "{listed}"
    );
    assert!(lines[1].starts_with(r#"{"name":"y","type":"dir","size":null,"#) && lines.len() == 2, "{listed}");
    let url = pair.url("x");
    let got = String::from_utf8(pair.run(&["get", "--json", &url]).stdout).unwrap();
    assert!(got.starts_with(&format!(r#"{{"event":"transfer","src":"{url}","dst":"x","bytes":5,"seconds":"#)), "{got}");
    assert!(got.ends_with("\"result\":\"ok\",\"code\":226}\n"), "{got}");
    let failed = String::from_utf8(pair.run(&["get", "--json", &pair.url("nope")]).stdout).unwrap();
    assert!(failed.contains(r#""result":"failed","code":550,"error":""#), "{failed}");
}

#[test]
fn exit_codes_name_the_cause() {
    let pair = Pair::with(&["-u", "ann"]);
    write(&pair.there("a"), b"hello");
    let with = |password: &str, arguments: &[&str]| {
        let mut command = pair.command(arguments);
        command.env("MINIFTP_PASSWORD", password).output().unwrap().status.code().unwrap_or(-1)
    };
    let url = pair.url("a").replace("ftp://", "ftp://ann@");
    let missing = pair.url("b").replace("ftp://", "ftp://ann@");
    assert_eq!(with("hunter2", &["get", &url]), 0);
    assert_eq!(with("wrong", &["get", &url]), 4);
    assert_eq!(pair.code(&["get", &url]), 4); // no password to be had, and nobody to ask
    assert_eq!(with("hunter2", &["get", &missing]), 5);
    assert_eq!(with("hunter2", &["get", &url, &missing]), 10);
    assert_eq!(with("hunter2", &["get", &url, "-d", "/nonexistent"]), 7);
    assert_eq!(pair.code(&["get", "ftp://127.0.0.1:1/a"]), 2);
    assert_eq!(pair.code(&["get", "ftp://name.invalid/a"]), 2);
    assert_eq!(pair.code(&["get"]), 1);
    assert_eq!(pair.code(&["--nonsense"]), 1);
    fs::write(pair.here("pw"), "hunter2\n").unwrap();
    assert_eq!(pair.code(&["--password-file", "pw", "get", &url]), 0);
    fs::write(pair.here(".netrc"), "machine 127.0.0.1 login ann password hunter2\n").unwrap();
    rustix::fs::chmod(pair.here(".netrc"), rustix::fs::Mode::from_raw_mode(0o644)).unwrap();
    assert_ne!(pair.code(&["get", &pair.url("a")]), 0);
    rustix::fs::chmod(pair.here(".netrc"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    assert_eq!(pair.code(&["get", &pair.url("a")]), 0);
}

#[test]
fn an_interrupt_leaves_what_can_be_continued() {
    let pair = Pair::new();
    write(&pair.there("big"), &content(8 << 20));
    // At this rate it takes minutes.
    let mut get = pair.command(&["--limit-rate", "64K", "get", &pair.url("big")]).spawn().unwrap();
    while fs::metadata(pair.here("big.part")).map_or(0, |meta| meta.len()) == 0 {
        assert_eq!(get.try_wait().unwrap(), None, "it has ended");
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&get), Signal::INT).unwrap();
    assert_eq!(get.wait().unwrap().code(), Some(130));
    assert!(!pair.here("big").exists());
    assert_eq!(pair.code(&["-c", "get", &pair.url("big")]), 0);
    assert_eq!(fs::read(pair.here("big")).unwrap(), content(8 << 20));
    assert!(!pair.here("big.part").exists());
}

#[test]
fn a_full_disk_or_a_missing_directory_is_our_own_fault() {
    let pair = Pair::new();
    write(&pair.there("a"), b"hello");
    fs::create_dir(pair.here("a")).unwrap();
    assert_eq!(pair.code(&["get", &pair.url("a")]), 7);
    assert_eq!(pair.code(&["put", "nothing", &pair.url("b")]), 7);
}

#[test]
fn verbs_on_names() {
    let pair = Pair::new();
    assert_eq!(pair.code(&["mkdir", &pair.url("d"), &pair.url("e")]), 0);
    write(&pair.there("d/x"), b"hello");
    assert_eq!(pair.code(&["mv", &pair.url("d/x"), "d/y"]), 0);
    assert_eq!(pair.run(&["ls", &pair.url("d")]).stdout, b"y\n");
    assert_eq!(pair.run(&["ls", &pair.url("d/y")]).stdout, b"y\n");
    assert_eq!(pair.code(&["stat", &pair.url("d/y")]), 0);
    assert_eq!(pair.code(&["rmdir", &pair.url("d")]), 5);
    assert_eq!(pair.code(&["rm", &pair.url("d/y"), &pair.url("d/z")]), 10);
    assert_eq!(pair.code(&["rmdir", &pair.url("d"), &pair.url("e")]), 0);
    assert_eq!(pair.code(&["probe", &pair.url("")]), 0);
}

#[test]
fn the_shell_knows_the_classic_words() {
    let pair = Pair::new();
    write(&pair.there("sub/a.txt"), b"hello");
    write(&pair.there("sub/b.txt"), b"world");
    write(&pair.here("up.txt"), b"up");
    assert_eq!(pair.shell("pwd; cd sub; pwd; cdup; pwd; cd sub; cd -; pwd"), "/\n/sub\n/\n/\n");
    assert_eq!(pair.shell("nlist sub"), "a.txt\nb.txt\n");
    assert_eq!(pair.shell("cd sub; get a.txt; mget 'b*'; cat a.txt"), "hello");
    assert_eq!(fs::read(pair.here("b.txt")).unwrap(), b"world");
    pair.shell("cd sub; put up.txt; put up.txt 'other name'; append up.txt up.txt; mput a*");
    assert_eq!(fs::read(pair.there("sub/up.txt")).unwrap(), b"upup");
    assert!(pair.there("sub/other name").exists());
    pair.shell("mkdir new; rename sub/up.txt new/q; chmod 600 new/q");
    assert_eq!(fs::metadata(pair.there("new/q")).unwrap().mode() & 0o777, 0o600);
    assert_eq!(pair.shell("size new/q; system"), "213 4\n215 UNIX Type: L8\n");
    assert_eq!(pair.shell("find new; du sub"), "/new/q\n12\t/sub\n");
    pair.shell("delete new/q; rmdir new; mdelete sub/*; mirror -R . copied; get copied/a.txt again &; wait");
    assert!(pair.there("copied/a.txt").exists() && !pair.there("new").exists() && pair.here("again").exists());
    assert_eq!(tree(&pair.there("sub")).len(), 0);
    let marks = pair.shell("get copied/b.txt -; bookmark add here; bookmark");
    assert!(marks.starts_with("worldhere\tftp://"), "{marks}");
}

#[test]
fn a_script_stops_at_its_first_failure() {
    let pair = Pair::new();
    let script = "cd nowhere\nmkdir made\n";
    let run = |options: &[&str]| {
        let url = pair.url("");
        let mut shell = pair.command(&[options, &[&url]].concat()).stdin(Stdio::piped()).spawn().unwrap();
        shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        shell.wait().unwrap().code()
    };
    assert_eq!(run(&[]), Some(5));
    assert!(!pair.there("made").exists());
    assert_eq!(run(&["--keep-going"]), Some(5));
    assert!(pair.there("made").exists());
    fs::write(pair.here("s"), "pwd # and nothing else\nbye\nnonsense\n").unwrap();
    assert_eq!(pair.run(&["-f", "s", &pair.url("")]).stdout, b"/\n");
}

#[test]
fn segments_and_limits() {
    let pair = Pair::new();
    write(&pair.there("big"), &content(9 << 20));
    assert_eq!(pair.code(&["-n", "4", "--verify", "get", &pair.url("big")]), 0);
    assert_eq!(fs::read(pair.here("big")).unwrap(), content(9 << 20));
    assert_eq!(fs::read_dir(pair.here.path()).unwrap().count(), 1);
    assert_eq!(pair.code(&["--active", "get", &pair.url("big"), "-o", "other"]), 0);
    assert_eq!(fs::read(pair.here("other")).unwrap(), content(9 << 20));
}

/// What a mirror says that it removes, or would: paths after the last of these words, sorted.
fn removed(pair: &Pair, root: &str, arguments: &[&str]) -> (i32, Vec<String>) {
    let output = pair.run(&[&["--json", "--retries", "0", "--delete", "mirror"], arguments].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("{\"event\":\"remove\""));
    let path = |line: &str| line.split("\"path\":\"").nth(1).and_then(|rest| rest.split('"').next()).map(str::to_owned);
    let within = |path: String| path.rsplit(root).next().unwrap().to_owned();
    let mut paths: Vec<String> = lines.filter_map(path).map(within).collect();
    paths.sort();
    (output.status.code().unwrap(), paths)
}

#[test]
fn what_a_link_leads_to_is_not_removed() {
    let pair = Pair::new();
    write(&pair.there("precious/gold"), b"gold");
    write(&pair.there("from/new"), b"n");
    write(&pair.here("from/new"), b"n");
    for (source, target) in
        [("from", pair.url("target")), (&pair.url("from"), pair.url("target")), (&pair.url("from"), "target".into())]
    {
        let root = if target == "target" { pair.here("target") } else { pair.there("target") };
        write(&root.join("new"), b"n");
        write(&root.join("old/x"), b"x");
        std::os::unix::fs::symlink(pair.there("precious"), root.join("absolute")).unwrap();
        std::os::unix::fs::symlink("../precious", root.join("lnk")).unwrap();
        std::os::unix::fs::symlink("../../precious", root.join("old/lnk")).unwrap();
        let expected = ["absolute", "lnk", "old", "old/lnk", "old/x"].map(str::to_owned).to_vec();
        let planned = removed(&pair, "target/", &["--dry-run", source, &target]);
        assert!(root.join("old/lnk/gold").exists() || target == "target", "a dry run removes nothing");
        assert_eq!(planned, (0, expected.clone()), "{source} {target}");
        assert_eq!(removed(&pair, "target/", &[source, &target]), (0, expected), "{source} {target}");
        assert_eq!(tree(&pair.there("precious")), [("gold".into(), b"gold".to_vec())], "{source} {target}");
        assert_eq!(tree(&root), [("new".into(), b"n".to_vec())]);
        fs::remove_dir_all(root).unwrap();
    }
}

#[test]
fn what_the_filter_leaves_alone_stays_at_every_depth() {
    let pair = Pair::new();
    write(&pair.there("from/a.txt"), b"a");
    write(&pair.here("from/a.txt"), b"a");
    let names = |root: &Path| tree(root).into_iter().map(|(path, _)| path.display().to_string()).collect::<Vec<_>>();
    for filter in [["--exclude", "*.log"], ["--include", "*.txt"]] {
        for (source, target) in [
            ("from", pair.url("target")),
            (&pair.url("from"), pair.url("target")),
            (&pair.url("from"), "target".into()),
        ] {
            let root = if target == "target" { pair.here("target") } else { pair.there("target") };
            for name in ["a.txt", "gone.txt", "top.log", "old/keep.log", "old/x.txt", "old/deep/y.txt", "ours/z.txt"] {
                write(&root.join(name), b"a");
            }
            let all = [&filter[..], &[source, &target]].concat();
            let planned = removed(&pair, "target/", &[&["--dry-run"], &all[..]].concat());
            assert_eq!(names(&root).len(), 7, "a dry run removes nothing");
            let expected = ["gone.txt", "old/deep", "old/deep/y.txt", "old/x.txt", "ours", "ours/z.txt"];
            assert_eq!(planned, (0, expected.map(str::to_owned).to_vec()), "{all:?}");
            assert_eq!(removed(&pair, "target/", &all), planned, "{all:?}");
            assert_eq!(names(&root), ["a.txt", "old/keep.log", "top.log"], "{all:?}");
            assert!(!root.join("old/deep").exists() && !root.join("ours").exists(), "{all:?}");
            fs::remove_dir_all(root).unwrap();
        }
    }
}

#[test]
fn a_copy_on_the_same_server_does_not_run_into_itself() {
    let pair = Pair::new();
    write(&pair.there("t/f"), b"f");
    std::os::unix::fs::symlink(".", pair.there("t/self")).unwrap();
    assert_ne!(pair.code(&["mirror", &pair.url("t"), &pair.url("u")]), 0);
    assert!(pair.there("u/self/f").is_file() && !pair.there("u/self/self/self/self").exists());
    write(&pair.there("s/b/f"), b"f");
    for (source, target) in [("s", "s/b"), ("s", "s"), ("s/", "s/b/c"), ("s", "x/../s//b/./c"), ("", "s")] {
        let output = pair.run(&["mirror", &pair.url(source), &pair.url(target)]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{source} {target}: {text}");
        assert!(text.contains(&format!("{}: the target ", pair.url(target))) && text.contains("source"), "{text}");
    }
    assert_eq!(pair.code(&["--delete", "mirror", &pair.url("s/b"), &pair.url("s")]), 1);
    assert_eq!(tree(&pair.there("s")), [("b/f".into(), b"f".to_vec())]);
    // Beside the source, or above it where nothing is removed, is somewhere else.
    assert_eq!(pair.code(&["mirror", &pair.url("s"), &pair.url("s2")]), 0);
    assert_eq!(pair.code(&["mirror", &pair.url("s/b"), &pair.url("s")]), 0);
    assert_eq!(tree(&pair.there("s2")), [("b/f".into(), b"f".to_vec())]);
    assert_eq!(fs::read(pair.there("s/f")).unwrap(), b"f");
}
