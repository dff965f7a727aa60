//! The limit of connections of each client, counted in the table of all workers.

use std::net::IpAddr;
use std::sync::Arc;

use monoceros_config::{AddressSet, RealIp, WorkerSettings};
use monoceros_engine::{Address, ConnectionCounter, CountedConnection};
use monoceros_sys::clock;
use monoceros_wire::client_table::{ClientTable, ConnectionCount, JournalWriter};

/// A connection that is not counted.
const UNCOUNTED: u64 = 0;

/// Counts the connections of this worker.
pub(crate) struct TableCounter {
    pub(crate) table: Arc<ClientTable>,
    pub(crate) journal: JournalWriter,
    /// How many connections a client may have.
    pub(crate) limit: u32,
    /// Proxies that name another client for each request (`real-ip`). Their connections belong to
    /// no client, and are not counted.
    pub(crate) proxies: Option<AddressSet>,
}

/// The proxies whose connections are not counted, as the settings have them. With `*` every client
/// would be one.
pub(crate) fn uncounted_proxies(settings: &WorkerSettings) -> Option<AddressSet> {
    let trusted = settings.forwarded_allow_ips();
    (*settings.real_ip() != RealIp::Off && !trusted.all).then(|| trusted.clone())
}

impl TableCounter {
    fn is_proxy(&self, ip: IpAddr) -> bool {
        self.proxies.as_ref().is_some_and(|proxies| proxies.contains(ip))
    }
}

impl ConnectionCounter for TableCounter {
    fn begin(&self, client: &Address, _listener: usize) -> CountedConnection {
        let count = match client {
            Address::Internet { ip, .. } if self.is_proxy(*ip) => ConnectionCount::Uncounted,
            Address::Internet { ip, .. } => {
                let now_us = clock::monotonic_us();
                self.table.connect((*ip).into(), self.limit, &self.journal, now_us)
            }
            Address::Unix(_) => ConnectionCount::Uncounted,
        };
        let is_too_many = count == ConnectionCount::TooMany;
        let ticket = match count {
            ConnectionCount::Counted(number) => u64::from(number) + 1,
            ConnectionCount::TooMany | ConnectionCount::Uncounted => UNCOUNTED,
        };
        CountedConnection { ticket, is_too_many }
    }

    fn end(&self, _client: &Address, connection: CountedConnection) {
        let number = connection.ticket.checked_sub(1).and_then(|number| number.try_into().ok());
        if let Some(number) = number {
            self.table.disconnect(number, &self.journal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_requests::internet;
    use monoceros_wire::client_table::ConnectionJournal;
    use monoceros_wire::listener::UnixAddress;

    #[test]
    fn a_connection_counts_from_its_beginning_to_its_end() {
        let journal = JournalWriter::new(ConnectionJournal::create(10).unwrap());
        let table = Arc::new(ClientTable::create().unwrap());
        let networks = vec!["10.0.0.0/8".parse().unwrap()];
        let proxies = Some(AddressSet { all: false, networks, unix: true });
        let counter = TableCounter { table, journal, limit: 2, proxies };
        let (client, other) = (internet("192.0.2.1"), internet("192.0.2.2"));
        let begin = |client| counter.begin(client, 0);
        let [first, second, third] = [(); 3].map(|()| begin(&client));
        assert!(!first.is_too_many && !second.is_too_many && third.is_too_many);
        assert!(!begin(&other).is_too_many);
        // One that was refused was not counted.
        counter.end(&client, third);
        assert!(begin(&client).is_too_many);
        counter.end(&client, first);
        assert!(!begin(&client).is_too_many);
        for uncounted in [Address::Unix(UnixAddress::Unnamed), internet("10.1.2.3")] {
            assert!((0..5).all(|_| !counter.begin(&uncounted, 0).is_too_many), "{uncounted:?}");
        }
    }
}
