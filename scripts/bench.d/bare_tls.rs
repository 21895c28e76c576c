//! What rustls can do at the most: `bare_tls CERTIFICATE KEY FOLDER`, an FTPS server of canned answers around a bare loop of
//! read a piece, encrypt it, send it.
//!
//! It prints where it listens on 127.0.0.1 and serves until it is ended: AUTH TLS, EPSV and RETR for the load tester. It is no
//! server: a thread for each session, blocking, every name believed, nothing checked, an error ends the session. Certificate
//! and key are PEM; provider and cipher are those that miniftpd takes: ring, AES-128-GCM.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CipherSuite, ServerConfig, ServerConnection, StreamOwned};

/// Bytes read from the file and given to rustls at once: sixteen records. More was no faster.
const PIECE: usize = 256 * 1024;

fn main() {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [certificate, key, folder] = &arguments[..] else {
        eprintln!("bare_tls CERTIFICATE KEY FOLDER");
        std::process::exit(1);
    };
    std::env::set_current_dir(folder).expect("the folder");
    let config = config(certificate, key);
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    println!("listening on {}", listener.local_addr().expect("its address"));
    for stream in listener.incoming().flatten() {
        let config = config.clone();
        std::thread::spawn(move || serve(stream, config));
    }
}

fn config(certificate: &Path, key: &Path) -> Arc<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(certificate).expect("the certificate").flatten().collect();
    let key = PrivateKeyDer::from_pem_file(key).expect("the key");
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.retain(|suite| suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256);
    let builder =
        ServerConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&[&rustls::version::TLS13]);
    Arc::new(builder.expect("TLS 1.3").with_no_client_auth().with_single_cert(chain, key).expect("a pair"))
}

fn serve(mut stream: TcpStream, config: Arc<ServerConfig>) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(b"220 Bare.\r\n")?;
    // A line at a time from the socket itself: what follows AUTH must not be read with it.
    while !line(&stream)?.starts_with("AUTH") {
        stream.write_all(b"530 AUTH TLS first.\r\n")?;
    }
    stream.write_all(b"234 Go on.\r\n")?;
    let connection = ServerConnection::new(config.clone()).map_err(std::io::Error::other)?;
    let mut control = BufReader::new(StreamOwned::new(connection, stream));
    let passive = TcpListener::bind(("127.0.0.1", 0))?;
    let mut said = String::new();
    while control.read_line(&mut said)? > 0 {
        let (verb, argument) = said.trim_end().split_once(' ').unwrap_or((said.trim_end(), ""));
        let reply = match verb {
            "EPSV" => format!("229 Entering (|||{}|)", passive.local_addr()?.port()),
            "RETR" => {
                control.get_mut().write_all(b"150 Here it comes.\r\n")?;
                send(argument.trim_start_matches('/'), &passive, &config)?;
                "226 Done.".into()
            }
            "USER" => "230 In.".into(),
            "QUIT" => "221 Bye.".into(),
            _ => "200 Yes.".into(),
        };
        control.get_mut().write_all(format!("{reply}\r\n").as_bytes())?;
        said.clear();
    }
    Ok(())
}

fn line(mut stream: &TcpStream) -> Result<String> {
    let (mut line, mut byte) = (String::new(), [0]);
    while byte != *b"\n" {
        stream.read_exact(&mut byte)?;
        line.push(byte[0].into());
    }
    Ok(line)
}

fn send(path: &str, passive: &TcpListener, config: &Arc<ServerConfig>) -> Result<()> {
    let connection = ServerConnection::new(config.clone()).map_err(std::io::Error::other)?;
    let stream = passive.accept()?.0;
    stream.set_nodelay(true)?;
    let mut data = StreamOwned::new(connection, stream);
    let (mut file, mut piece) = (File::open(path)?, vec![0; PIECE]);
    loop {
        let length = file.read(&mut piece)?;
        if length == 0 {
            break;
        }
        data.write_all(&piece[..length])?;
    }
    data.conn.send_close_notify();
    data.flush()
}
