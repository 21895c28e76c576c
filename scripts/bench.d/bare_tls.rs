//! What TLS costs at the least, for measurements: `bare-tls CERTIFICATE KEY FILE` sends the file to whoever asks by HTTPS, with
//! the server's library and first cipher, in a blocking loop without FTP. It says where it listens and stays until it is ended.

use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

/// As the server has them.
const PIECE: usize = 64 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [certificate, key, file] = &arguments[..] else { return Err("bare-tls CERTIFICATE KEY FILE".into()) };
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| !format!("{:?}", suite.suite()).contains("AES_128"));
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    config.ignore_client_order = true;
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0")?);
    println!("{}", listener.local_addr()?);
    for stream in listener.incoming() {
        if let Err(error) = serve(&config, stream?, file) {
            eprintln!("bare-tls: {error}");
        }
    }
    Ok(())
}

fn serve(config: &Arc<ServerConfig>, mut socket: TcpStream, path: &str) -> Result<(), Box<dyn Error>> {
    let mut connection = ServerConnection::new(Arc::clone(config))?;
    let mut stream = Stream::new(&mut connection, &mut socket);
    let mut piece = vec![0; PIECE];
    // The request is short enough to come at once.
    let _request = stream.read(&mut piece)?;
    let mut file = File::open(path)?;
    write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", file.metadata()?.len())?;
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            break;
        }
        stream.write_all(&piece[..count])?;
    }
    stream.conn.send_close_notify();
    stream.flush()?;
    Ok(())
}
