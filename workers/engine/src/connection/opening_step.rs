//! The steps of the opening of a connection, in order. Pure.

use monoceros_wire::listener::ProxyProtocol;

/// A step of the opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpeningStep {
    /// A header of the PROXY protocol is expected.
    ProxyHeader(ProxyProtocol),
    /// The first byte is expected: it shows whether the client uses the layer.
    FirstByte,
    /// The layer exchanges messages of its own, such as a handshake.
    Layer,
}

impl OpeningStep {
    /// The first step of a connection.
    pub(crate) fn first(proxy_protocol: ProxyProtocol, is_plain: bool) -> Option<Self> {
        match proxy_protocol {
            ProxyProtocol::Off => Self::behind_header(is_plain),
            expected => Some(Self::ProxyHeader(expected)),
        }
    }

    /// The step behind a header of the PROXY protocol, or where none is expected.
    pub(crate) fn behind_header(is_plain: bool) -> Option<Self> {
        (!is_plain).then_some(Self::FirstByte)
    }
}
