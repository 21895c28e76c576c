//! The middle of a transfer as the PI sees it: 150, ABOR and STAT while it runs, the final reply.

use super::faults::of_transfer;
use super::state::{Errand, Member, State, Work};
use super::{Abort, Endpoint, Finished, Output, Session, Stage};
use crate::filesystem::VirtualPath;
use crate::transfer::{Fault, Job, Order, Report};
use crate::wire::command::Verb;
use crate::wire::reply::Reply;

impl Session {
    /// 150 goes out at once, whether the data connection is there or not: clients that connect only after it exist.
    pub(super) fn begin(&mut self, verb: Verb, path: VirtualPath, job: Job, opening: Reply, stage: &mut Stage<'_>) {
        let address = match std::mem::replace(&mut self.endpoint, Endpoint::None) {
            Endpoint::Active(address) => Some(address),
            Endpoint::Passive | Endpoint::None => None,
        };
        stage.reply(opening);
        stage.order(Order::Begin(job, address, self.protection));
        let errand = Errand { verb, path, ascii: self.ascii(stage.world) };
        self.work(Work::Transferring(Box::new(errand)));
    }

    pub(super) fn report(&mut self, report: Report, stage: &mut Stage<'_>) {
        match report {
            Report::Promised(_) | Report::NoPort => self.promised(&report, stage),
            Report::Scanned(outcome) => self.scanned(outcome, stage),
            Report::Lapsed => self.endpoint = Endpoint::None,
            Report::Progress { moved, total } => Self::progress(moved, total, stage),
            Report::Done { moved, elapsed, result } => {
                self.done(moved, elapsed, result, stage);
            }
        }
    }

    fn progress(moved: u64, total: Option<u64>, stage: &mut Stage<'_>) {
        stage.reply(match total {
            Some(total) => Reply::new(213, format!("Status: {moved} of {total} bytes transferred")),
            None => Reply::new(213, format!("Status: {moved} bytes transferred")),
        });
    }

    fn done(&mut self, moved: u64, elapsed: std::time::Duration, result: Result<(), Fault>, stage: &mut Stage<'_>) {
        let mut ended = None;
        self.step(|work| match work {
            Work::Transferring(errand) | Work::Aborting(errand) => {
                ended = Some(errand);
                Work::Idle
            }
            other => other,
        });
        let Some(errand) = ended else {
            return log::warn!("{}: the end of a transfer in {}, dropped", self.peer, self.state);
        };
        match result {
            Ok(()) if errand.verb == Verb::Stou => {
                let name = String::from_utf8_lossy(errand.path.name()).into_owned();
                stage.reply(Reply::new(226, format!("Transfer complete (unique name: {name}).")));
            }
            Ok(()) => stage.say(226, "Transfer complete."),
            Err(fault) => stage.reply(of_transfer(fault)),
        }
        let user = self.user().unwrap_or_default().into();
        let Errand { verb, path, ascii } = *errand;
        let fault = result.err();
        stage.out.push(Output::Record(Box::new(Finished { verb, user, path, ascii, moved, elapsed, fault })));
        if stage.world.draining {
            self.leave(421, "Server is shutting down.", stage);
        }
    }

    /// ABOR was seen among the waiting lines: stop now, answer it when its turn comes.
    pub(super) fn interrupt(&mut self, stage: &mut Stage<'_>) {
        if self.interruptible() {
            self.abort = Abort::Owed;
            let mut computed = None;
            self.step(|work| match work {
                Work::Transferring(errand) => Work::Aborting(errand),
                Work::Computing(asked) => {
                    computed = Some(asked);
                    Work::Idle
                }
                other => other,
            });
            stage.order(Order::Abort);
            if let Some(asked) = computed {
                stage.reply(asked.failed(Reply::new(451, "Aborted.")));
            }
        }
    }

    /// ABOR in its turn: after a transfer it stopped, with a data connection that waits, or with nothing at all.
    pub(super) fn abor(&mut self, stage: &mut Stage<'_>) {
        let owed = std::mem::replace(&mut self.abort, Abort::Idle);
        match (owed, self.endpoint) {
            (Abort::Owed, _) => stage.say(226, "ABOR successful."),
            (Abort::Idle, Endpoint::None) => stage.say(225, "No transfer to abort."),
            (Abort::Idle, _) => stage.say(226, "Data connection closed."),
        }
        if self.endpoint != Endpoint::None {
            self.endpoint = Endpoint::None;
            stage.order(Order::Forget);
        }
    }

    /// Whether there is something to be stopped when an ABOR is seen.
    pub fn interruptible(&self) -> bool {
        matches!(&self.state, State::Member(Member { work: Work::Transferring(_) | Work::Computing(_), .. }))
    }
}
