//! Words of the shell.

use crate::content;
use crate::fake::{Client, Fake};
use crate::plain;

#[test]
fn two_names_are_a_remote_and_a_local_one_for_every_get() {
    let file = content(200_000);
    let (fake, client) = (Fake::start(&[("a", &file)], plain), Client::new());
    for verb in ["get", "reget", "pget", "pget -n 3"] {
        let line = format!("{verb} a here");
        assert_eq!(client.code(&["--tls", "off", "-e", &line, &fake.url("")]), 0, "{line}");
        assert_eq!((client.read("here"), client.read("a")), (Some(file.clone()), None), "{line}");
        std::fs::remove_file(client.path("here")).unwrap();
    }
    assert_eq!(client.code(&["--tls", "off", "-e", "pget a -o there", &fake.url("")]), 0);
    assert_eq!(client.read("there"), Some(file));
}
