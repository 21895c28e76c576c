//! Floods, slow peers and shortages: what many or lazy clients can make the server spend.
//!
//! A test's name begins with the case of the catalogue that it proves. With MINIFTP_SOAK set the sizes are those of the
//! catalogue instead of what runs beside other tests; `scripts/soak` does that on a release build.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use common::{
    PATIENCE, Peer, Server, connect, connect_from, cpu_ticks, leave_descriptors, limit_descriptors, noise, read_once,
    reset, resident, strace,
};
use rustix::net::sockopt;
use rustix::process::Signal;

/// The size of a test: the first beside others, the second where there is time.
fn size(usual: usize, full: usize) -> usize {
    if std::env::var_os("MINIFTP_SOAK").is_some() { full } else { usual }
}

/// So often a process has gone to sleep, which for this server is each time it has been woken.
fn sleeps(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid().as_raw_nonzero())).unwrap();
    let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    count.trim().parse().unwrap()
}

#[test]
fn x01_descriptors_run_out_and_come_back() {
    // Strangers stay as long as they like: it is the limit of descriptors that is met here.
    let server = Server::full_and("[limits]\nlogin = \"1h\"\n");
    server.put("f", "hello");
    let mut old = server.login();
    leave_descriptors(&server, 10);
    let mut crowd = Vec::new();
    let mut refused = 0;
    for _ in 0..40 {
        old.is_well();
        // Whoever finds none left is told so, by the one in reserve.
        let mut stranger = server.knock();
        match stranger.reply().code {
            220 => crowd.push(stranger),
            421 => refused += 1,
            other => panic!("greeted with {other}"),
        }
    }
    assert!(refused >= 20 && crowd.len() >= 5, "{refused} refused, {} in", crowd.len());
    old.is_well();
    is_quiet(&server, &mut old);
    // The first to go lets one in.
    drop(crowd.pop());
    enter(&server);
    drop(crowd);
    // The server hears of them at its own pace, and a transfer needs more than a place.
    server.settled(&old);
    assert_eq!(enter(&server).fetch("RETR f"), b"hello");
}

#[test]
fn x01_without_a_reserve_newcomers_wait_and_are_not_forgotten() {
    let server = Server::full();
    let mut old = server.login();
    // What the reserve gives back cannot be had again: its number is past the limit, and those below are taken.
    let (reserve, _) = server.open_files().find(|(number, path)| *number > 2 && path == "/dev/null").unwrap();
    let gaps = (0..reserve).filter(|number| server.open_descriptors().all(|open| open != *number)).count();
    assert_eq!(gaps, 0, "there is room below {reserve}");
    limit_descriptors(&server, reserve);
    let mut newcomer = server.knock();
    server.wait_for("cannot take more connections");
    old.is_well();
    is_quiet(&server, &mut old);
    // Nobody else comes, and no edge tells that there is room again.
    limit_descriptors(&server, reserve + 100);
    newcomer.reply().expect(220);
    newcomer.log_in();
    newcomer.is_well();
}

/// Fails when the server is busy while nobody does anything: a session's idle limit tells when two seconds are over.
fn is_quiet(server: &Server, idle: &mut Peer) {
    idle.say("SITE IDLE 2").expect(200);
    let (ticks, naps, start) = (cpu_ticks(server), sleeps(server), Instant::now());
    idle.reply().expect(421);
    let (ticks, naps) = (cpu_ticks(server) - ticks, sleeps(server) - naps);
    assert!(ticks < 50, "it spins: {ticks} hundredths of a second");
    let allowed = 20 * (start.elapsed().as_secs() + 1);
    assert!(naps <= allowed, "woken {naps} times, {allowed} are enough");
}

/// A newcomer who tries until there is room.
fn enter(server: &Server) -> Peer {
    let end = Instant::now() + PATIENCE;
    loop {
        let mut ftp = server.knock();
        if ftp.reply().code == 220 {
            ftp.log_in();
            return ftp;
        }
        assert!(Instant::now() < end, "nobody gets in any more");
    }
}

#[test]
fn x02_a_session_survives_what_it_finds_no_descriptor_for() {
    let server = Server::full();
    server.put("f", "hello");
    let (mut ftp, mut other) = (server.login(), server.login());
    // The file finds the last one, and the connection to the client none.
    let listener = other.port();
    leave_descriptors(&server, 1);
    other.say("RETR f").expect(150);
    other.reply().expect(425);
    other.is_well();
    drop(listener);
    leave_descriptors(&server, 100);
    let address = ftp.epsv_address();
    leave_descriptors(&server, 0);
    // Neither the data connection nor the file finds one.
    let data = connect(address);
    for line in ["RETR f", "STOR g", "LIST", "NLST", "MLSD"] {
        let reply = ftp.say(line);
        assert!(matches!(reply.code, 425 | 451), "{line}: {} {}", reply.code, reply.text());
        ftp.is_well();
    }
    let listener = other.port();
    let reply = other.say("LIST");
    assert!(matches!(reply.code, 425 | 451), "{} {}", reply.code, reply.text());
    drop((data, listener));
    other.is_well();
    // Another address needs other passive ports, and there is nothing to open them with.
    let before = server.descriptors();
    leave_descriptors(&server, 20);
    assert_eq!(ftp.fetch("RETR f"), b"hello");
    assert!(server.descriptors() <= before + 2);
}

#[test]
fn x02_a_data_connection_waits_for_a_descriptor() {
    let server = Server::full();
    server.put("f", "hello");
    let (mut ftp, other) = (server.login(), server.login());
    let address = ftp.epsv_address();
    ftp.say("RETR f").expect(150);
    leave_descriptors(&server, 0);
    // Who connects now is told nothing until one is free.
    let mut data = connect(address);
    server.wait_for("cannot accept a data connection");
    drop(other);
    let mut bytes = Vec::new();
    data.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"hello");
    ftp.reply().expect(226);
}

#[test]
fn x03_too_many_clients_are_told_before_the_greeting() {
    let server = Server::full_and("[limits]\nclients = 3\n");
    let mut inside: Vec<Peer> = (0..3).map(|_| server.login()).collect();
    for _ in 0..5 {
        let mut late = server.knock();
        late.reply().expect(421);
        late.expect_close();
    }
    drop(inside.pop());
    let end = Instant::now() + PATIENCE;
    while server.knock().reply().code != 220 {
        assert!(Instant::now() < end);
    }
    inside[1].is_well();
}

#[test]
fn x03_a_refused_peer_that_does_not_read_blocks_nobody() {
    let server = Server::full_and("[limits]\nclients = 1\n");
    let mut inside = server.login();
    let crowd: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    inside.is_well();
    drop(crowd);
    inside.is_well();
}

#[test]
fn x04_one_address_cannot_take_all_places() {
    let server = Server::full_and("[limits]\nper_ip = 2\n");
    let _inside = [server.login(), server.login()];
    server.knock().reply().expect(421);
    let mut other = Peer::new(connect_from("127.0.0.2", server.address()));
    other.reply().expect(220);
    drop(_inside);
    let end = Instant::now() + PATIENCE;
    while server.knock().reply().code != 220 {
        assert!(Instant::now() < end, "places are not given back");
    }
}

#[test]
fn x05_a_flood_of_newcomers_that_are_gone_at_once() {
    let server = Server::full();
    let mut old = server.login();
    let ports = (server.address(), old.epsv_address());
    for number in 0..size(5_000, 10_000) {
        reset(TcpStream::connect(ports.0).unwrap());
        if number % 10 == 0 {
            // The passive ports have a queue of their own.
            reset(TcpStream::connect(ports.1).unwrap());
        }
    }
    old.is_well();
    old.fetch("LIST");
    server.login().is_well();
    server.settled(&old);
    only_one_is_left(&server);
}

#[test]
fn x05_who_goes_before_being_accepted_costs_nobody_else_the_listener() {
    // What other kernels say of a connection that was reset in the queue; Linux may say it of a dead network. Every
    // third newcomer and every second data connection is one.
    let Some(server) = strace::refusing(&["accept4:error=ECONNABORTED:when=2+3"]) else { return };
    server.put("f", "hello");
    let mut sessions: Vec<Peer> = (0..8).map(|_| server.login()).collect();
    for ftp in &mut sessions {
        assert_eq!(ftp.fetch("RETR f"), b"hello");
    }
    server.login().is_well();
}

/// Fails unless the table of records comes to hold one session and nothing that belonged to others.
fn only_one_is_left(server: &Server) {
    let end = Instant::now() + PATIENCE;
    loop {
        server.signal(Signal::USR1);
        let records = server.wait_for("records:");
        if records.contains("records: 1 control, 0 data,") && records.contains(" 0 promises;") {
            break;
        }
        assert!(Instant::now() < end, "{records}");
    }
}

#[test]
fn x06_octets_one_by_one_are_no_command() {
    let (server, other) = (Server::full_and("[limits]\nlogin = \"1s\"\n"), Server::full());
    let (mut stranger, mut member) = (server.connect(), other.login());
    member.say("SITE IDLE 1").expect(200);
    let end = Instant::now() + PATIENCE;
    let (mut first, mut second) = (true, true);
    while first || second {
        first = first && stranger.try_send("x").is_ok();
        second = second && member.try_send("x").is_ok();
        assert!(Instant::now() < end, "a line may take for ever");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    server.connect();
    other.login().is_well();
}

#[test]
fn x07_commands_without_a_login_gain_no_time() {
    let server = Server::full_and("[limits]\nlogin = \"1s\"\nlogin_delay = \"0s\"\nlogin_attempts = 100\n");
    let last = |ftp: &mut Peer, lines: &[&str]| {
        let end = Instant::now() + PATIENCE;
        loop {
            for line in lines {
                let reply = ftp.say(line);
                if reply.code == 421 {
                    return drop(reply.says("Login"));
                }
            }
            assert!(Instant::now() < end, "a stranger may stay for ever");
        }
    };
    // Each begins when the one before is through: who has not yet begun would only be silent.
    last(&mut server.connect(), &["NOOP", "REIN", "USER x", "FEAT"]);
    last(&mut server.connect(), &["USER x", "PASS y"]);
    let mut silent = server.connect();
    silent.reply().expect(421);
    silent.expect_close();
    server.connect();
}

#[test]
fn x08_downloads_that_nobody_reads_are_cheap_and_end() {
    let crowd = size(150, 1000);
    // They are to be all there before the first of them is given up.
    let stall = size(3, 30);
    let limits = format!("[limits]\nper_ip = 0\nstall = \"{stall}s\"\nsocket_buffer = \"16KiB\"\n");
    let server = Server::full_and(&limits);
    server.put("f", noise(3_000_000));
    let stall = |_| {
        let mut ftp = server.login();
        // The smallest window there is, and never read from.
        let data = ftp.epsv();
        sockopt::set_socket_recv_buffer_size(data.as_fd(), 1).unwrap();
        ftp.say("RETR f").expect(150);
        (ftp, data)
    };
    let mut first: Vec<(Peer, TcpStream)> = (0..20).map(stall).collect();
    let before = resident(&server);
    let mut others: Vec<(Peer, TcpStream)> = (20..crowd).map(stall).collect();
    let each = resident(&server).saturating_sub(before) / (crowd - 20);
    assert!(each < 4096, "{each} bytes for each");
    server.login().is_well();
    for (ftp, _data) in first.iter_mut().chain(&mut others) {
        ftp.reply().expect(426).says("stalled");
        ftp.is_well();
    }
}

#[test]
fn x09_replies_nobody_takes_end_the_session() {
    // The kernel, which would do the same later, waits as long again: a server that is kept from running is ahead of it.
    let server = Server::full_and("[limits]\noutput = \"4KiB\"\noutput_stall = \"4s\"\n");
    let deaf = server.login();
    let mut stream = deaf.stream().try_clone().unwrap();
    sockopt::set_socket_recv_buffer_size(stream.as_fd(), 4096).unwrap();
    let lines = "HELP\r\n".repeat(1000);
    // Sooner or later the write fails, as the server has dropped the connection.
    let end = Instant::now() + PATIENCE;
    while stream.write_all(lines.as_bytes()).is_ok() {
        assert!(Instant::now() < end, "still open");
    }
    // It was the server that lost its patience, not the kernel, which has more of it.
    server.wait_for("does not read its replies");
    server.login().is_well();
}

#[test]
fn x10_a_listing_of_very_many_entries_is_made_piece_by_piece() {
    // Names so long that those of a smaller directory would be more, all together, than a listing may hold.
    let (entries, length) = (size(12_000, 1_000_000), size(200, 7));
    let server = Server::full_and("[limits]\nlisting_sort = 1000\n");
    std::fs::create_dir(server.path("many")).unwrap();
    for number in 0..entries {
        std::fs::File::create(server.path(format!("many/{number:0length$}"))).unwrap();
    }
    let (mut ftp, mut other) = (server.login(), server.login());
    // A smaller one first: the memory that any listing takes is then there.
    std::fs::create_dir(server.path("few")).unwrap();
    ftp.lines("LIST few");
    let before = resident(&server);
    for verb in ["LIST", "NLST", "MLSD"] {
        let mut data = ftp.epsv();
        ftp.say(format!("{verb} many")).expect(150);
        let (mut lines, mut piece, mut peak) = (0, vec![0; 1 << 20], 0);
        loop {
            let count = read_once(&mut data, &mut piece).unwrap();
            if count == 0 {
                break;
            }
            lines += piece[..count].iter().filter(|byte| **byte == b'\n').count();
            peak = peak.max(resident(&server));
            // Others are answered while it goes on.
            other.is_well();
        }
        ftp.reply().expect(226);
        assert_eq!(lines, entries, "{verb}");
        assert!(peak < before + (1 << 20), "{verb}: {before} became {peak}");
    }
}

#[test]
fn x11_patterns_and_trees_cost_a_fixed_amount_of_work() {
    let server = Server::full();
    server.put("x/".repeat(100) + "f", "");
    for number in 0..200 {
        server.put(format!("{}{number}", "a".repeat(100)), "");
    }
    let mut ftp = server.login();
    let before = cpu_ticks(&server);
    for pattern in
        ["*/../".repeat(40) + "*", "*".repeat(50) + "b", "{a,b}".repeat(20), "*a".repeat(60) + "b", "[a-z]*".repeat(40)]
    {
        for verb in ["NLST", "LIST -R", "LIST"] {
            let mut data = ftp.epsv();
            let reply = ftp.say(format!("{verb} {pattern}"));
            if reply.code == 150 {
                data.read_to_end(&mut Vec::new()).unwrap();
                ftp.reply().expect(226);
            } else {
                reply.expect(550);
            }
        }
    }
    ftp.lines("LIST -R");
    // Undone, one of these alone takes longer than the universe has.
    assert!(cpu_ticks(&server) - before < 500);
}

#[test]
fn x13_sessions_come_and_go_without_a_trace() {
    let server = Server::full();
    server.put("f", noise(1024));
    let mut old = server.login();
    let round = |kill: usize| {
        let mut ftp = server.login();
        let data = ftp.epsv();
        ftp.order("RETR f");
        if kill.is_multiple_of(2) {
            ftp.reply().expect(150);
            common::read_all(data);
            ftp.reply().expect(226);
        }
        if kill.is_multiple_of(10) {
            // A promise that nobody comes for.
            ftp.epsv_address();
        }
        match kill % 3 {
            0 => drop(ftp.say("QUIT")),
            1 => reset(ftp.stream().try_clone().unwrap()),
            _ => {}
        }
    };
    (0..200).for_each(round);
    server.settled(&old);
    let before = resident(&server);
    (0..size(3_000, 100_000)).for_each(round);
    server.settled(&old);
    assert!(resident(&server) < before + (512 << 10), "{before} became {}", resident(&server));
    // The old session is there, and whatever passive ports there are, but nobody else.
    only_one_is_left(&server);
    old.is_well();
}

#[test]
fn x14_a_peer_whose_link_is_gone_is_given_up() {
    let tools = "ip link set lo up && command -v nsenter && command -v bash";
    let probe = Command::new("unshare").args(["-n", "sh", "-c", tools]).stdout(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        println!("skipped: no network of one's own without root, unshare, ip, nsenter and bash");
        return;
    }
    // The limit for unread replies is the one that keep-alive goes by; idle sessions have five minutes here.
    let text = "[anonymous]\npermissions = \"full\"\n[limits]\noutput_stall = \"1s\"\n";
    let server = Server::launch("127.0.0.1:0", text, &[], |command| {
        let mut alone = Command::new("unshare");
        alone.args(["-n", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]);
        alone.arg(command.get_program()).args(command.get_args());
        alone
    });
    let inside = |words: &[&str]| {
        let mut command = Command::new("nsenter");
        command.args(["-t", &server.pid().as_raw_nonzero().to_string(), "-n"]).args(words);
        command
    };
    let port = server.address().port();
    let dialogue = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; printf 'USER ftp\\r\\nPASS x\\r\\n' >&3; exec cat <&3");
    let _client = Killed(inside(&["bash", "-c", &dialogue]).stdout(Stdio::null()).spawn().unwrap());
    server.wait_for("logged in");
    assert!(inside(&["ip", "link", "set", "lo", "down"]).status().unwrap().success());
    server.wait_for("timed out");
}

/// A process that goes with the test, also when that fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _status = self.0.wait();
    }
}

#[test]
fn x16_taken_names_are_tried_so_often_and_no_more() {
    let server = Server::full();
    let mut ftp = server.login();
    let name = ftp.store("STOU up", b"1").expect(226).text();
    assert!(name.contains("up"), "{name}");
    for number in 0..10_000 {
        std::fs::File::create(server.path(format!("up.{number}"))).unwrap();
    }
    let reply = ftp.store("STOU up", b"1");
    assert!(matches!(reply.code, 226 | 450 | 451 | 550 | 553), "{} {}", reply.code, reply.text());
    ftp.is_well();
}
