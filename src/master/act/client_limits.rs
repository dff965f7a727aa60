//! Owns the table in which the workers count the requests and connections of their clients. It
//! is made when settings limit clients for the first time, and stays to the end of the server:
//! over reloads, killed workers and upgrades. Called by the event loop only.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use monoceros_sys::reason;
use monoceros_wire::client_table::{ClientTable, RuleTag};

use crate::master::act::generations::Generations;
use crate::master::act::worker_spec::WorkerSpec;

/// The table, and the limits of requests that have a row in it.
pub(crate) struct ClientLimits {
    table: Option<Rc<ClientTable>>,
    /// The limits of the generations at the last reading of settings. Workers of an older
    /// generation may still serve.
    recent: Vec<RuleTag>,
}

impl ClientLimits {
    /// With the table of the predecessor.
    pub(crate) fn new(inherited: Option<OwnedFd>) -> Self {
        let table = inherited.and_then(|fd| {
            ClientTable::adopt(fd)
                .inspect_err(|error| {
                    let why = reason(error);
                    log::warn!(
                        "cannot use the old master's table of clients: {why}; limits begin anew"
                    );
                })
                .ok()
        });
        let recent = table.as_ref().map(ClientTable::assigned_rules).unwrap_or_default();
        Self { table: table.map(Rc::new), recent }
    }

    /// A generation was read: makes the table if there is none, and rows for its limits.
    pub(crate) fn begin(&mut self, generations: &Generations) -> Result<(), String> {
        let cannot = |error: io::Error| {
            let why = if error.kind() == io::ErrorKind::StorageFull {
                "the present and the new limit-rate together have too many rates; change fewer of \
                 them in one reload"
                    .to_owned()
            } else {
                let size = ClientTable::SIZE >> 20;
                let why = reason(&error);
                format!(
                    "no table of clients ({size} MiB of addresses): {why}; see ulimit -f and -v"
                )
            };
            format!("cannot limit clients: {why}")
        };
        let mut limiting = generations.specs().filter(|spec| spec.limits_clients()).peekable();
        if limiting.peek().is_none() {
            return Ok(());
        }
        let table = match &self.table {
            Some(table) => table,
            None => self.table.insert(Rc::new(ClientTable::create().map_err(cannot)?)),
        };
        let mut wanted: Vec<_> = limiting.flat_map(WorkerSpec::rule_tags).collect();
        wanted.sort();
        wanted.dedup();
        table.assign_rules(&wanted, &self.recent).map_err(cannot)?;
        self.recent = wanted;
        Ok(())
    }

    /// The table, if workers of this kind limit their clients.
    pub(crate) fn table_for(&self, spec: &WorkerSpec) -> Option<&Rc<ClientTable>> {
        self.table.as_ref().filter(|_| spec.limits_clients())
    }

    /// The table, for a successor.
    pub(crate) fn for_successor(&self) -> Option<BorrowedFd<'_>> {
        self.table.as_ref().map(|table| table.as_fd())
    }
}
