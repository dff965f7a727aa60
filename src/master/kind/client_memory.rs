//! What the master shares with a worker that limits its clients: the table of all workers, and
//! the journal of the worker's connections.

use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;

use monoceros_wire::channel::MasterEnd;
use monoceros_wire::client_table::{ClientTable, ConnectionJournal};
use monoceros_wire::message::ToWorker;

/// The table and the journal.
#[derive(Debug)]
pub(crate) struct ClientMemory {
    table: Rc<ClientTable>,
    /// `None` if connections are not limited.
    journal: Option<ConnectionJournal>,
}

impl ClientMemory {
    /// For a worker that counts so many connections at a time.
    pub(crate) fn create(table: &Rc<ClientTable>, connections: usize) -> io::Result<Self> {
        let journal = (connections > 0).then(|| ConnectionJournal::create(connections));
        Ok(Self { table: Rc::clone(table), journal: journal.transpose()? })
    }

    /// Sends it to the worker, behind its first message.
    pub(crate) fn send(&self, channel: &MasterEnd) -> io::Result<()> {
        let journal = self.journal.as_ref().map(AsFd::as_fd);
        let descriptors: Vec<_> =
            [Some(self.table.as_fd()), journal].into_iter().flatten().collect();
        channel.send_with(&ToWorker::Limits, &descriptors)
    }

    /// The worker has ended: its connections do not count any more.
    pub(crate) fn disconnect(&self) {
        if let Some(journal) = &self.journal {
            self.table.disconnect_all(journal);
        }
    }
}
