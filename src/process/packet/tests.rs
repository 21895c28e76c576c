use super::*;
use proptest::prelude::*;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

fn pair() -> (OwnedFd, OwnedFd) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
}

fn round<M: Message + PartialEq + std::fmt::Debug>(message: M) {
    let mut packet = Vec::new();
    message.encode(&mut packet);
    assert!(packet.len() <= LARGEST_PACKET);
    assert_eq!(M::decode(&packet), Some(message));
}

#[test]
fn every_kind_comes_back() {
    let chunk = Chunk::cut(b"listen").next().unwrap();
    for door in [Door::Explicit, Door::Implicit] {
        round(ToWorker::Listener(door, "[::1]:2121".parse().unwrap()));
    }
    round(ToWorker::Settings(chunk.clone()));
    round(ToWorker::Verifier);
    round(ToWorker::Reload(chunk.clone()));
    round(ToWorker::Drain);
    round(ToWorker::Stop);
    round(ToWorker::Summary);
    round(FromWorker::Ready);
    round(FromWorker::Reloaded);
    round(FromWorker::Refused("no room".to_owned()));
    round(Instruction::Secrets(chunk));
    round(Instruction::Worker);
}

#[test]
fn reasons_are_cut_at_a_character() {
    let mut packet = Vec::new();
    FromWorker::Refused("ä".repeat(600) + "x").encode(&mut packet);
    assert!(matches!(FromWorker::decode(&packet), Some(FromWorker::Refused(why)) if why.len() == 1024));
}

#[test]
fn s10_oversized_checks_are_refused() {
    for (name, word) in [(257, 1), (1, 513)] {
        let (user, password) = (vec![b'u'; name], Secret::new(vec![b'p'; word]));
        let mut packet = Vec::new();
        ToVerifier::Check { id: 1, user, password }.encode(&mut packet);
        assert_eq!(ToVerifier::decode(&packet), None);
    }
}

#[test]
fn messages_and_descriptors_pass() {
    let (here, there) = pair();
    let (passed, other_end) = pair();
    let mut buffer = vec![0; LARGEST_PACKET];
    send(&here, &ToWorker::Verifier, Some(passed.as_fd())).unwrap();
    drop(passed);
    let Received::Message(ToWorker::Verifier, Some(fd)) = recv(&there, &mut buffer).unwrap() else {
        panic!("no descriptor");
    };
    let verdict = FromVerifier::Verdict { id: 7, right: true };
    send(&fd, &verdict, None).unwrap();
    assert!(matches!(recv::<FromVerifier>(&other_end, &mut buffer), Ok(Received::Message(m, None)) if m == verdict));
    let empty = recv::<ToWorker>(&there, &mut buffer).unwrap_err();
    assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
    drop(here);
    assert!(matches!(recv::<ToWorker>(&there, &mut buffer), Ok(Received::Closed)));
    let gone = send(&there, &FromWorker::Ready, None).unwrap_err();
    assert_eq!(gone.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn s10_descriptors_in_the_wrong_place_are_refused() {
    let (here, there) = pair();
    let mut buffer = vec![0; LARGEST_PACKET];
    let refused = send(&here, &ToWorker::Drain, Some(there.as_fd())).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    assert!(send(&here, &ToWorker::Verifier, None).is_err());
    // By hand: a kind that carries one, without; and an unknown kind.
    for packet in [&b"v"[..], b"?", b"d "] {
        rustix::net::send(&here, packet, SendFlags::empty()).unwrap();
        let error = recv::<ToWorker>(&there, &mut buffer).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
    // A kind that carries none, with one: `Worker` and `w` look alike to the sender's check only.
    send(&here, &Instruction::Worker, Some(there.as_fd())).unwrap();
    assert!(recv::<ToWorker>(&there, &mut buffer).is_err());
}

#[test]
fn s10_truncated_packets_are_refused() {
    let (here, there) = pair();
    let body = [b'x'; 100];
    send(&here, &ToWorker::Settings(Chunk::cut(&body).next().unwrap()), None).unwrap();
    assert!(recv::<ToWorker>(&there, &mut [0; 50]).is_err());
}

#[test]
fn what_was_received_is_wiped() {
    let (here, there) = pair();
    let mut buffer = vec![0; LARGEST_PACKET];
    let password = Secret::new(b"hunter2".to_vec());
    let check = ToVerifier::Check { id: 1, user: b"u".to_vec(), password };
    send(&here, &check, None).unwrap();
    assert!(recv::<ToVerifier>(&there, &mut buffer).is_ok());
    assert!(buffer.iter().all(|&byte| byte == 0));
}

#[test]
fn s10_endless_bodies_are_refused() {
    let mut assembly = Assembly::default();
    let chunk = Chunk { last: false, bytes: vec![b'x'; CHUNK_BYTES] };
    let refused = (0..600).find(|_| assembly.add(chunk.clone()).is_err());
    assert_eq!(refused, Some(LONGEST_BODY / CHUNK_BYTES));
}

proptest! {
    #[test]
    fn no_packet_panics(packet in prop::collection::vec(any::<u8>(), 0..1200)) {
        let _ = ToWorker::decode(&packet);
        let _ = FromWorker::decode(&packet);
        let _ = ToVerifier::decode(&packet);
        let _ = FromVerifier::decode(&packet);
        let _ = Instruction::decode(&packet);
    }

    #[test]
    fn checks_come_back(
        id: u64,
        user in prop::collection::vec(any::<u8>(), 0..=256),
        password in prop::collection::vec(any::<u8>(), 0..=512),
    ) {
        round(ToVerifier::Check { id, user, password: Secret::new(password) });
    }

    #[test]
    fn verdicts_come_back(id: u64, right: bool) {
        round(FromVerifier::Verdict { id, right });
    }

    #[test]
    fn bodies_survive_their_chunks(length in 0usize..100_000) {
        let body: Vec<u8> = (0..=255).cycle().take(length).collect();
        let mut assembly = Assembly::default();
        let mut whole = None;
        for chunk in Chunk::cut(&body) {
            prop_assert!(whole.is_none());
            whole = assembly.add(chunk).unwrap();
        }
        prop_assert_eq!(whole, Some(body));
    }
}

#[test]
fn chunks_do_not_print_their_bytes() {
    let chunk = Chunk::cut(b"$6$salt").next().unwrap();
    let shown = format!("{:?}", Instruction::Secrets(chunk));
    assert_eq!(shown, "Secrets(Chunk of 7 bytes)");
}
