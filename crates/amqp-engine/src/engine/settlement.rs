//! What becomes of deliveries: dispositions both ways.

use super::event::Event;
use super::id::{DeliveryId, LinkId, is_after};
use super::link::{Link, LinkState};
use super::session::{Session, Shared};
use super::unsettled::{Stage, Step};
use crate::error::Error;
use crate::outcome::DeliveryState;
use crate::performative::{Disposition, Role};

/// Deliveries that follow each other and are treated alike.
#[derive(Clone, Copy, Debug)]
struct Run {
    handle: u32,
    first: u32,
    last: u32,
    settled: bool,
}

impl Session {
    pub(super) fn on_disposition(&mut self, shared: &mut Shared, disposition: &Disposition) {
        let last = disposition.last.unwrap_or(disposition.first);
        let unsettled = match disposition.role {
            Role::Receiver => &mut self.outgoing,
            Role::Sender => &mut self.incoming,
        };
        let settled = disposition.settled;
        // An outcome is told once, and so is settlement: a peer that repeats itself costs nothing.
        let says = disposition.state.as_ref().is_some_and(DeliveryState::is_terminal);
        if !settled && !says {
            return;
        }
        let mut runs: Vec<Run> = Vec::new();
        unsettled.walk(disposition.first, last, |entry| {
            if entry.stage == Stage::Part || (!settled && entry.stage == Stage::Told) {
                return Step::Keep;
            }
            entry.stage = Stage::Told;
            match runs.last_mut() {
                Some(run) if run.handle == entry.handle && run.last.wrapping_add(1) == entry.id => {
                    run.last = entry.id;
                }
                _ => runs.push(Run {
                    handle: entry.handle,
                    first: entry.id,
                    last: entry.id,
                    settled,
                }),
            }
            if settled { Step::Remove } else { Step::Keep }
        });
        for run in runs {
            let channel = self.id.channel;
            let Some(link) = self.link_mut(run.handle) else {
                continue;
            };
            shared.tell(Event::Disposition {
                link: LinkId {
                    channel,
                    handle: run.handle,
                    generation: link.generation,
                },
                first: DeliveryId(run.first),
                last: DeliveryId(run.last),
                settled,
                state: disposition.state.clone(),
            });
        }
        if settled {
            self.replenish(shared);
            self.go_on(shared);
        }
    }

    pub(super) fn settle(
        &mut self,
        shared: &mut Shared,
        id: LinkId,
        (first, last): (DeliveryId, DeliveryId),
        state: &DeliveryState,
    ) -> Result<usize, Error> {
        let channel = self.id.channel;
        let role = self.named(id)?.role;
        if is_after(first.0, last.0) {
            return Ok(0);
        }
        let unsettled = match role {
            Role::Receiver => &mut self.incoming,
            Role::Sender => &mut self.outgoing,
        };
        let mut run: Option<Run> = None;
        let mut count = 0;
        let out = &mut shared.out;
        let mut write = |run: Option<Run>| {
            if let Some(run) = run {
                let disposition = Disposition {
                    role,
                    first: run.first,
                    last: Some(run.last),
                    settled: run.settled,
                    state: Some(state.clone()),
                    batchable: false,
                };
                out.frame(channel, |out| disposition.write(out));
            }
        };
        unsettled.walk(first.0, last.0, |entry| {
            // A receiver whose sender settles last only says its outcome.
            let settled = !(role == Role::Receiver && entry.second);
            let passed = entry.stage == Stage::Part || (!settled && entry.stage == Stage::Told);
            if entry.handle != id.handle || passed {
                write(run.take());
                return Step::Keep;
            }
            count += 1;
            entry.stage = Stage::Told;
            match &mut run {
                // Ids between that are not in the row are settled, or never were: naming them again does nothing.
                Some(run) if run.settled == settled => run.last = entry.id,
                _ => {
                    write(run.take());
                    run = Some(Run {
                        handle: entry.handle,
                        first: entry.id,
                        last: entry.id,
                        settled,
                    });
                }
            }
            if settled { Step::Remove } else { Step::Keep }
        });
        write(run);
        self.replenish(shared);
        self.go_on(shared);
        Ok(count)
    }

    /// Lets the peer send this many deliveries from now on.
    pub(super) fn grant(&mut self, shared: &mut Shared, id: LinkId, credit: u32) -> Result<(), Error> {
        self.receiver(id)?.grant(credit);
        self.write_flow(shared, Some(id.handle), false);
        Ok(())
    }

    /// Asks the peer to use its credit up or give it back.
    pub(super) fn drain(&mut self, shared: &mut Shared, id: LinkId) -> Result<(), Error> {
        self.receiver(id)?.drain = true;
        self.write_flow(shared, Some(id.handle), false);
        Ok(())
    }

    fn receiver(&mut self, id: LinkId) -> Result<&mut Link, Error> {
        let link = self.named(id)?;
        match (link.role, link.state) {
            (Role::Receiver, LinkState::Attached) => Ok(link),
            (Role::Receiver, _) => Err(Error::WrongState),
            (Role::Sender, _) => Err(Error::WrongRole),
        }
    }
}
