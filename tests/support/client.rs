//! An HTTP client for tests: it sends the bytes of the test unchanged, and checks that each
//! response is valid HTTP.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use socket2::{Domain, Socket, Type};

use super::tls::TlsStream;
use super::until::DEADLINE;

/// A response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The status line as received.
    pub(crate) line: String,
    /// The headers in order: names in lower case, values as latin-1.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The value of a header, which must not be repeated.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() < 2, "{name} came {} times", values.len());
        values.first().copied()
    }

    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let found = self.headers.iter().filter(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Whether the server will read no other request.
    pub(crate) fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }
}

/// A stream socket of any family, plain or with TLS.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream>),
}

impl Stream {
    /// Lets reads and writes fail with `WouldBlock`, or wait again.
    pub(crate) fn set_nonblocking(&mut self, is_nonblocking: bool) {
        let done = match self {
            Self::Tcp(stream) => stream.set_nonblocking(is_nonblocking),
            Self::Unix(stream) => stream.set_nonblocking(is_nonblocking),
            Self::Tls(stream) => return stream.socket().set_nonblocking(is_nonblocking),
        };
        done.unwrap();
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tls(stream) => stream.flush(),
            Self::Tcp(_) | Self::Unix(_) => Ok(()),
        }
    }
}

/// A connection, which can be used for several requests.
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    /// Bytes that were received and not returned yet.
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) fn tcp(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        // Each send is a segment of its own, as tests with pieces expect.
        stream.set_nodelay(true)?;
        Self::over(stream)
    }

    /// Connects from this address.
    pub(crate) fn from(source: IpAddr, address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        socket.connect(&address.into())?;
        Self::over(socket.into())
    }

    /// Connects with the smallest receive buffer.
    pub(crate) fn narrow(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // The size takes effect only before connect(2): tcp(7).
        socket.set_recv_buffer_size(4096)?;
        socket.connect(&address.into())?;
        Self::over(socket.into())
    }

    pub(crate) fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(Self::of(Stream::Tcp(stream)))
    }

    pub(crate) fn unix(path: &Path) -> io::Result<Self> {
        Self::over_unix(UnixStream::connect(path)?)
    }

    pub(crate) fn over_unix(stream: UnixStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(Self::of(Stream::Unix(stream)))
    }

    /// A connection over a stream from which nothing was read yet.
    pub(crate) fn of(stream: Stream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// The TLS of the connection.
    pub(crate) fn tls(&mut self) -> &mut TlsStream {
        let Stream::Tls(stream) = &mut self.stream else { panic!("a plain connection") };
        stream
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server takes what is sent");
    }

    /// Sends as much as the server takes before it closes or resets.
    pub(crate) fn send_if_taken(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Whether the server has not closed the connection, as far as the client can see.
    pub(crate) fn is_open(&mut self) -> bool {
        let stream = match &mut self.stream {
            Stream::Tcp(stream) => stream,
            Stream::Unix(_) => panic!("only asked of TCP and TLS"),
            Stream::Tls(stream) => return stream.is_open(),
        };
        stream.set_nonblocking(true).unwrap();
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false).unwrap();
        peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Closes the sending side of the connection; with TLS, by close_notify only.
    pub(crate) fn finish_sending(&mut self) {
        let done = match &mut self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
            Stream::Tls(stream) => stream.finish_sending(),
        };
        done.expect("the connection is open");
    }

    /// Sends a GET and reads the response.
    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.send(get(target));
        self.response()
    }

    /// Reads the response to any method but HEAD.
    pub(crate) fn response(&mut self) -> Response {
        self.try_response("GET").unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// Reads the response to this method; the response to HEAD has no body. An error if the
    /// connection ends before the response is complete.
    pub(crate) fn try_response(&mut self, method: &str) -> io::Result<Response> {
        let mut response = self.try_head()?;
        if method != "HEAD" && response.status >= 200 && ![204, 304].contains(&response.status) {
            response.body = self.body(&response)?;
        }
        Ok(response)
    }

    /// Reads the head of a response.
    pub(crate) fn head(&mut self) -> Response {
        self.try_head().unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    fn try_head(&mut self) -> io::Result<Response> {
        let line = self.line()?;
        assert!(line.starts_with("HTTP/1.1 "), "a status line: {line:?}");
        let status = line[9..12].parse().expect("a status has three digits");
        let mut response = Response { status, line, ..Response::default() };
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(response);
            }
            let (name, value) = line.split_once(':').expect("a header has a colon");
            let value = value.trim_matches([' ', '\t']).to_owned();
            response.headers.push((name.to_ascii_lowercase(), value));
        }
    }

    fn body(&mut self, response: &Response) -> io::Result<Vec<u8>> {
        if response.header("transfer-encoding").is_some() {
            assert_eq!(response.header("transfer-encoding"), Some("chunked"));
            assert_eq!(response.header("content-length"), None, "RFC 9112 section 6.2");
            let mut body = Vec::new();
            while let Some(chunk) = self.chunk()? {
                body.extend(chunk);
            }
            return Ok(body);
        }
        match response.header("content-length") {
            Some(length) => self.exactly(length.parse().expect("a length is a number")),
            None => self.rest(),
        }
    }

    /// Reads one chunk; `None` for the last one.
    pub(crate) fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let size = self.line()?;
        let size = usize::from_str_radix(&size, 16).expect("a chunk starts with its size");
        let chunk = self.exactly(size)?;
        assert_eq!(self.line()?, "", "a chunk ends with a line end");
        Ok((size > 0).then_some(chunk))
    }

    /// Reads this number of bytes.
    pub(crate) fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            self.more()?;
        }
        Ok(self.buffer.drain(..count).collect())
    }

    /// Reads everything until the server closes.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.more() {
                Ok(()) => (),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Ok(std::mem::take(&mut self.buffer));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads everything until the server resets the connection.
    pub(crate) fn until_reset(&mut self) -> Vec<u8> {
        match self.rest() {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                std::mem::take(&mut self.buffer)
            }
            other => panic!("no reset: {:?}", other.map(|rest| rest.len())),
        }
    }

    /// Checks that the server sends nothing more and closes without a reset.
    pub(crate) fn assert_closed(&mut self) {
        let rest = self.rest().expect("the server closes, and does not reset");
        assert_eq!(String::from_utf8_lossy(&rest), "", "nothing comes before the close");
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<_> = self.buffer.drain(..end + 2).take(end).collect();
                // latin-1: each byte is the character of the same number.
                return Ok(line.into_iter().map(char::from).collect());
            }
            self.more()?;
        }
    }

    fn more(&mut self) -> io::Result<()> {
        let mut bytes = [0; 65536];
        let count = loop {
            match self.stream.read(&mut bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                result => break result?,
            }
        };
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.buffer.extend(&bytes[..count]);
        Ok(())
    }
}

/// The bytes of a plain GET.
pub(crate) fn get(target: &str) -> String {
    request("GET", target, &[], "")
}

/// The bytes of a request; a body brings its Content-Length.
pub(crate) fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() || method == "POST" {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    text + "\r\n" + body
}
