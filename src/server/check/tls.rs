//! What `--check` says of `[tls]`.

use super::{Grade, Report, check_listener};
use crate::server::settings::{Identity, Minimum, Require, Reuse, Settings, TlsSettings};
use crate::server::stamp::Stamp;
use crate::server::tls::{expiry, fingerprint};

/// That certificate and key belong together was tried when they were loaded.
pub(super) fn check(settings: &Settings, report: &mut Report) {
    let Some(tls) = &settings.tls else { return report.add(Grade::Good, "tls: off") };
    for label in &tls.implicit {
        check_listener(label, report);
    }
    match fingerprint(&tls.identity) {
        Ok(digits) => report.add(Grade::Good, format!("tls: certificate and key fit, sha256 {digits}")),
        Err(flaw) => report.add(Grade::Bad, flaw.to_string()),
    }
    check_expiry(&tls.identity, report);
    report.add(Grade::Good, format!("tls.require: {}", required(tls.require)));
    report.add(Grade::Good, format!("tls.reuse: {}", reused(tls.reuse)));
    check_rest(tls, report);
}

fn check_expiry(identity: &Identity, report: &mut Report) {
    let Some(end) = expiry(identity).and_then(|end| i64::try_from(end).ok()) else { return };
    let shown = Stamp::at(end);
    match end < Stamp::now().seconds() {
        true => report.add(Grade::Odd, format!("tls.certificate: it has expired, {shown}")),
        false => report.add(Grade::Good, format!("tls.certificate: it expires {shown}")),
    }
}

fn check_rest(tls: &TlsSettings, report: &mut Report) {
    if tls.minimum == Minimum::Tls13 {
        report.add(Grade::Good, "tls.minimum: 1.3");
    }
    if tls.strict_close {
        report.add(Grade::Good, "tls.strict_close: an upload without close_notify at its end failed");
    }
    if tls.client_ca.is_some() {
        let password = if tls.client_login { ", which stands for its user's password" } else { "" };
        report.add(Grade::Good, format!("tls.client_ca: every client has to show a certificate{password}"));
    }
}

const fn required(require: Require) -> &'static str {
    match require {
        Require::None => "none, TLS is offered",
        Require::Login => "login, nobody logs in in the clear",
        Require::Data => "data, neither logins nor transfers in the clear",
    }
}

const fn reused(reuse: Reuse) -> &'static str {
    match reuse {
        Reuse::Off => "off, no data connection resumes the control connection's session",
        Reuse::Log => "log, data connections may resume the control connection's session",
        Reuse::Require => "require, data connections have to resume the control connection's session",
    }
}
