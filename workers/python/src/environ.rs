//! The environment of a request (PEP 3333, "environ Variables").

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;

use monoceros_engine::{Address, Exchange, ProxiedConnection, session_variables};
use monoceros_http::response::{DECIMAL_DIGITS, decimal};
use monoceros_http::{Head, PathPrefix, join_repeated, percent_decode};
use monoceros_tls::Session;
use monoceros_wire::listener::{Scheme, UnixAddress};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::cache::Cache;
use crate::ffi;
use crate::file_wrapper::FileWrapper;
use crate::input::{Inputs, Spooled};

/// The values that are the same for every request of a worker.
pub(crate) struct Constants<'a> {
    /// Whether application threads run at the same time.
    pub(crate) multithread: bool,
    /// Whether other workers run at the same time.
    pub(crate) multiprocess: bool,
    /// The prefix of every path, from the variable `SCRIPT_NAME`.
    pub(crate) prefix: &'a PathPrefix,
    /// The application gets the certificates of clients.
    pub(crate) has_client_certificates: bool,
    /// The name of the field with a request's identifier, if there is one.
    pub(crate) id_field: Option<&'a str>,
    /// `wsgi.errors`.
    pub(crate) errors: &'a Bound<'a, PyAny>,
}

const MULTIPROCESS: &str = "wsgi.multiprocess";
const URL_SCHEME: &str = "wsgi.url_scheme";

/// The certificate of a client as text, if the settings ask for it.
const CLIENT_CERTIFICATE: &str = "SSL_CLIENT_CERT";

/// The maximum length of a usual value, in bytes.
const LONGEST_USUAL: usize = 64;

/// Makes environments; one for each application thread.
pub(crate) struct Environ {
    template: Template,
    /// The template for connections with TLS, once there was one.
    tls_template: Option<Template>,
    keys: Keys,
    /// The field with the request's identifier, and its variable.
    id: Option<(Box<[u8]>, Py<PyString>)>,
    texts: Cache,
    variables: Cache,
    prefix: PathPrefix,
    has_client_certificates: bool,
    inputs: Inputs,
    slash: Py<PyString>,
    /// What the template has for `wsgi.multiprocess`.
    multiprocess: bool,
    /// Memory in which a path is decoded.
    decoded: Vec<u8>,
}

/// Why a request has no environment.
pub(crate) enum EnvironError {
    /// Its path does not begin with the prefix.
    Prefix,
    /// Python could not make it.
    Python(PyErr),
}

impl From<PyErr> for EnvironError {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

macro_rules! keys {
    ($($field:ident = $name:literal,)*) => {
        /// The keys that are set for each request.
        struct Keys { $($field: Py<PyString>,)* }

        impl Keys {
            fn new(py: Python) -> Self {
                Self { $($field: PyString::intern(py, $name).unbind(),)* }
            }

            /// All keys, in the order of the template.
            fn all(&self) -> Vec<&Py<PyString>> {
                vec![$(&self.$field,)*]
            }
        }
    };
}

/// The variables that have the same value in most requests of a worker.
#[derive(Clone, Copy, Debug)]
enum Usual {
    Method,
    Protocol,
    PeerHost,
    LocalHost,
    LocalPort,
    Host,
}

impl Usual {
    const COUNT: usize = Self::Host as usize + 1;
}

keys! {
    method = "REQUEST_METHOD",
    prefix = "SCRIPT_NAME",
    path = "PATH_INFO",
    query = "QUERY_STRING",
    target = "RAW_URI",
    protocol = "SERVER_PROTOCOL",
    peer_host = "REMOTE_ADDR",
    peer_port = "REMOTE_PORT",
    local_host = "SERVER_NAME",
    local_port = "SERVER_PORT",
    host = "HTTP_HOST",
    input = "wsgi.input",
    content_type = "CONTENT_TYPE",
    content_length = "CONTENT_LENGTH",
}

impl Environ {
    pub(crate) fn new(py: Python, constants: &Constants) -> PyResult<Self> {
        let keys = Keys::new(py);
        let template = Template::new(py, constants, &keys)?;
        let mut variables = Cache::of_variables();
        let id = match constants.id_field.map(str::as_bytes) {
            Some(name) => {
                let key = variables.find(py, name)?;
                // It is set for each request.
                template.dict.bind(py).set_item(&key, "")?;
                Some((name.into(), key.unbind()))
            }
            None => None,
        };
        Ok(Self {
            template,
            tls_template: None,
            keys,
            id,
            texts: Cache::of_texts(),
            variables,
            prefix: constants.prefix.clone(),
            has_client_certificates: constants.has_client_certificates,
            inputs: Inputs::new(py)?,
            slash: PyString::intern(py, "/").unbind(),
            multiprocess: constants.multiprocess,
            decoded: Vec::new(),
        })
    }

    /// Notes whether there are other workers.
    fn set_multiprocess(&mut self, py: Python, multiprocess: bool) -> PyResult<()> {
        if self.multiprocess != multiprocess {
            self.template.dict.bind(py).set_item(MULTIPROCESS, multiprocess)?;
            self.tls_template = None;
            self.multiprocess = multiprocess;
        }
        Ok(())
    }

    /// Makes the environment of a request, and takes its body; a body in a file must be
    /// given back afterwards.
    pub(crate) fn make<'py>(
        &mut self,
        py: Python<'py>,
        exchange: &mut Exchange,
        is_shared: bool,
    ) -> Result<(Bound<'py, PyDict>, Option<Spooled>), EnvironError> {
        self.set_multiprocess(py, is_shared)?;
        let template = match exchange.session() {
            None => &self.template,
            Some(session) => self.tls_template(py, session)?,
        };
        let (environ, usual_scheme) = (template.dict.bind(py).copy()?, template.scheme());
        let body = exchange.take_body();
        let length = body.len();
        let (input, spooled) = self.inputs.make(py, body)?;
        let request = exchange.request();
        let head = &request.head;
        environ.set_item(&self.keys.input, input)?;
        self.set_usual(&environ, exchange, Usual::Method, head.method())?;
        self.set_target(py, &environ, head, exchange.prefix())?;
        let protocol = head.version().as_str().as_bytes();
        self.set_usual(&environ, exchange, Usual::Protocol, protocol)?;
        self.set_addresses(py, &environ, exchange)?;
        if exchange.scheme() != usual_scheme {
            environ.set_item(URL_SCHEME, exchange.scheme().as_str())?;
        }
        if let Some(session) = exchange.session()
            && !self.tls_template.as_ref().is_some_and(|it| it.has(session))
        {
            self.set_session(py, &environ, session)?;
        }
        if let Some(proxied) = exchange.proxied() {
            self.set_proxied(py, &environ, proxied)?;
        }
        self.set_fields(py, &environ, exchange)?;
        if let Some((_, key)) = &self.id {
            environ.set_item(key, ffi::latin1(py, exchange.request().id().as_bytes())?)?;
        }
        if head.framing() == monoceros_http::Framing::Chunked {
            // The body is complete, and its length is known: applications that need a
            // length (Django among them) get it.
            environ.set_item(&self.keys.content_length, length.to_string())?;
        }
        Ok((environ, spooled))
    }

    /// The template for connections with TLS, with the facts of the first of them: most
    /// clients have agreed on the same.
    fn tls_template(&mut self, py: Python, session: &Session) -> PyResult<&Template> {
        let template = self.tls_template.take().filter(|it| !it.exceeds(session));
        let template = match template {
            Some(template) => template,
            None => self.template.for_tls(py, session)?,
        };
        Ok(self.tls_template.insert(template))
    }

    /// Sets a variable, unless the template has this value: one comparison costs less than a
    /// place in a dictionary. The first value that is seen becomes the template's.
    fn set_usual(
        &mut self,
        environ: &Bound<PyDict>,
        exchange: &Exchange,
        variable: Usual,
        text: &[u8],
    ) -> PyResult<()> {
        let py = environ.py();
        let template = match exchange.session() {
            None => &mut self.template,
            // The environment was copied from it.
            Some(_) => self.tls_template.as_mut().unwrap_or(&mut self.template),
        };
        let usual = &mut template.usual[variable as usize];
        if usual.as_deref() == Some(text) {
            return Ok(());
        }
        let keys = &self.keys;
        let key = match variable {
            Usual::Method => &keys.method,
            Usual::Protocol => &keys.protocol,
            Usual::PeerHost => &keys.peer_host,
            Usual::LocalHost => &keys.local_host,
            Usual::LocalPort => &keys.local_port,
            Usual::Host => &keys.host,
        };
        let value = self.texts.find(py, text)?;
        if usual.is_none() && text.len() <= LONGEST_USUAL {
            template.dict.bind(py).set_item(key, &value)?;
            *usual = Some(text.into());
        }
        environ.set_item(key, value)
    }

    /// Sets the variables about the encryption of the connection.
    fn set_session(
        &mut self,
        py: Python,
        environ: &Bound<PyDict>,
        session: &Session,
    ) -> PyResult<()> {
        for (name, value) in session_variables(session) {
            let key = self.texts.find(py, name.as_bytes())?;
            environ.set_item(key, self.texts.find(py, value.as_bytes())?)?;
        }
        if let Some(client) = session.client.as_ref().filter(|_| self.has_client_certificates) {
            environ.set_item(CLIENT_CERTIFICATE, client.pem())?;
        }
        Ok(())
    }

    /// Sets the variables about the client's connection to a proxy, as gunicorn does.
    fn set_proxied(
        &mut self,
        py: Python,
        environ: &Bound<PyDict>,
        proxied: &ProxiedConnection,
    ) -> PyResult<()> {
        let Address::Internet { host, port, .. } = &proxied.server else { return Ok(()) };
        let variables = [
            ("PROXY_PROTOCOL", proxied.protocol),
            ("PROXY_ADDR", host),
            ("PROXY_PORT", &port.to_string()),
        ];
        for (name, value) in variables {
            let key = self.texts.find(py, name.as_bytes())?;
            environ.set_item(key, self.texts.find(py, value.as_bytes())?)?;
        }
        Ok(())
    }

    fn set_target(
        &mut self,
        py: Python,
        environ: &Bound<PyDict>,
        head: &Head,
        reported: Option<&PathPrefix>,
    ) -> Result<(), EnvironError> {
        let target = ffi::latin1(py, head.target())?;
        if let Some(prefix) = reported {
            environ.set_item(&self.keys.prefix, self.texts.find(py, prefix.as_bytes())?)?;
        }
        let path = decode(head.path(), &mut self.decoded);
        let prefix = reported.unwrap_or(&self.prefix);
        let below = prefix.strip(path).ok_or(EnvironError::Prefix)?;
        if below == b"/" || below == b"*" {
            environ.set_item(&self.keys.path, &self.slash)?;
        } else if below.len() == head.target().len() {
            environ.set_item(&self.keys.path, &target)?;
        } else {
            environ.set_item(&self.keys.path, ffi::latin1(py, below)?)?;
        }
        environ.set_item(&self.keys.target, target)?;
        if !head.query().is_empty() {
            environ.set_item(&self.keys.query, ffi::latin1(py, head.query())?)?;
        }
        Ok(())
    }

    fn set_addresses(
        &mut self,
        py: Python,
        environ: &Bound<PyDict>,
        exchange: &Exchange,
    ) -> PyResult<()> {
        match exchange.peer() {
            Address::Internet { host, port, .. } => {
                self.set_usual(environ, exchange, Usual::PeerHost, host.as_bytes())?;
                // A proxy need not report the port of its client.
                match port {
                    0 => environ.del_item(&self.keys.peer_port)?,
                    _ => {
                        let port =
                            ffi::latin1(py, decimal((*port).into(), &mut [0; DECIMAL_DIGITS]))?;
                        environ.set_item(&self.keys.peer_port, port)?;
                    }
                }
            }
            Address::Unix(_) => {
                self.set_usual(environ, exchange, Usual::PeerHost, b"")?;
                environ.del_item(&self.keys.peer_port)?;
            }
        }
        let head = &exchange.request().head;
        let mut room = [0; DECIMAL_DIGITS];
        let (name, port) = match exchange.local() {
            Address::Internet { host, port, .. } => {
                (Cow::from(host.as_bytes()), decimal((*port).into(), &mut room))
            }
            Address::Unix(own) => {
                let default = decimal(exchange.scheme().default_port().into(), &mut room);
                server_of(head.host().unwrap_or(b""), own, default)
            }
        };
        self.set_usual(environ, exchange, Usual::LocalHost, &name)?;
        self.set_usual(environ, exchange, Usual::LocalPort, port)
    }

    fn set_fields(
        &mut self,
        py: Python,
        environ: &Bound<PyDict>,
        exchange: &Exchange,
    ) -> PyResult<()> {
        let head = &exchange.request().head;
        let mut has_host = false;
        let mut repeats = false;
        for (name, value) in head.fields() {
            match name.len() {
                4 if name.eq_ignore_ascii_case(b"host") => {
                    // The host of an absolute target has precedence (RFC 9112 section
                    // 3.2.2).
                    has_host = true;
                    let host = head.host().unwrap_or(value);
                    self.set_usual(environ, exchange, Usual::Host, host)?;
                }
                12 if name.eq_ignore_ascii_case(b"content-type") => {
                    environ.set_item(&self.keys.content_type, ffi::latin1(py, value)?)?;
                }
                14 if name.eq_ignore_ascii_case(b"content-length") => {
                    environ.set_item(&self.keys.content_length, ffi::latin1(py, value)?)?;
                }
                _ if is_left_out(name, exchange) || self.is_id(name) => {}
                _ => {
                    let before = environ.len();
                    let key = self.variables.find(py, name)?;
                    environ.set_item(key, ffi::latin1(py, value)?)?;
                    repeats |= environ.len() == before;
                }
            }
        }
        if repeats {
            self.set_repeated(py, environ, exchange)?;
        }
        if !has_host {
            match head.host() {
                // The host of an absolute target in HTTP/1.0.
                Some(host) => self.set_usual(environ, exchange, Usual::Host, host)?,
                None => environ.del_item(&self.keys.host)?,
            }
        }
        Ok(())
    }

    /// Whether a field has the request's identifier: it is set at last, as the logs have it.
    fn is_id(&self, name: &[u8]) -> bool {
        self.id.as_ref().is_some_and(|(field, _)| name.eq_ignore_ascii_case(field))
    }

    /// Sets the fields that occur more than once: the values of one name are joined.
    fn set_repeated(
        &mut self,
        py: Python,
        environ: &Bound<PyDict>,
        exchange: &Exchange,
    ) -> PyResult<()> {
        // A head with a repeated Host or content field is refused before.
        let fields = exchange.request().head.fields();
        let is_kept = |name: &[u8]| !is_left_out(name, exchange) && !self.is_id(name);
        let fields: Vec<_> = fields.filter(|(name, _)| is_kept(name)).collect();
        for (name, value) in join_repeated(fields.into_iter()) {
            environ.set_item(self.variables.find(py, name)?, ffi::latin1(py, &value)?)?;
        }
        Ok(())
    }
}

/// The values that are the same for each request, those that are for most, and a placeholder for
/// each other key: a copied dictionary then never has to grow.
struct Template {
    dict: Py<PyDict>,
    /// The usual values, each from the first request that had one.
    usual: [Option<Box<[u8]>>; Usual::COUNT],
    /// The session whose variables it has; a session without a client's certificate.
    session: Option<Session>,
}

impl Template {
    fn new(py: Python, constants: &Constants, keys: &Keys) -> PyResult<Self> {
        let dict = plain_template(py, constants, keys)?.unbind();
        Ok(Self { dict, usual: Default::default(), session: None })
    }

    /// The same for connections with TLS.
    fn for_tls(&self, py: Python, session: &Session) -> PyResult<Self> {
        let dict = self.dict.bind(py).copy()?;
        dict.set_item(URL_SCHEME, Scheme::Https.as_str())?;
        let Session { protocol, cipher, asks_clients, is_resumed, .. } = *session;
        let session = Session { protocol, cipher, asks_clients, is_resumed, client: None };
        for (name, value) in session_variables(&session) {
            dict.set_item(PyString::intern(py, name), value)?;
        }
        Ok(Self { dict: dict.unbind(), usual: self.usual.clone(), session: Some(session) })
    }

    /// The scheme in it. It is set for a request only if that one has another scheme.
    fn scheme(&self) -> Scheme {
        if self.session.is_some() { Scheme::Https } else { Scheme::Http }
    }

    /// Whether it has the variables of a session, and no others.
    fn has(&self, session: &Session) -> bool {
        self.session.as_ref() == Some(session)
    }

    /// Whether it may have a variable that a session lacks.
    fn exceeds(&self, session: &Session) -> bool {
        self.session.as_ref().is_some_and(|own| own.asks_clients && !session.asks_clients)
    }
}

fn plain_template<'py>(
    py: Python<'py>,
    constants: &Constants,
    keys: &Keys,
) -> PyResult<Bound<'py, PyDict>> {
    let template = PyDict::new(py);
    template.set_item("wsgi.version", (1, 0))?;
    template.set_item(URL_SCHEME, Scheme::Http.as_str())?;
    template.set_item("wsgi.errors", constants.errors)?;
    template.set_item("wsgi.multithread", constants.multithread)?;
    template.set_item(MULTIPROCESS, constants.multiprocess)?;
    template.set_item("wsgi.run_once", false)?;
    template.set_item("wsgi.file_wrapper", py.get_type::<FileWrapper>())?;
    template.set_item("wsgi.input_terminated", true)?;
    let software = concat!("monoceros/", env!("CARGO_PKG_VERSION"));
    template.set_item("SERVER_SOFTWARE", software)?;
    let empty = PyString::intern(py, "");
    for key in keys.all() {
        template.set_item(key, &empty)?;
    }
    template.set_item(&keys.prefix, ffi::latin1(py, constants.prefix.as_bytes())?)?;
    // These two are set only if the request has them.
    template.del_item(&keys.content_type)?;
    template.del_item(&keys.content_length)?;
    Ok(template)
}

/// Fields that do not become variables. An underscore makes two different names the same
/// variable, so it depends on the settings; `Proxy` would become `HTTP_PROXY`, which
/// clients in the application take for a setting; the coding has been taken off the body.
fn is_left_out(name: &[u8], exchange: &Exchange) -> bool {
    !is_mapped(name, exchange)
        || name.eq_ignore_ascii_case(b"proxy")
        || name.eq_ignore_ascii_case(b"transfer-encoding")
}

/// Whether a field can be a variable: one with an underscore might be taken for another one.
pub(crate) fn is_mapped(name: &[u8], exchange: &Exchange) -> bool {
    !name.contains(&b'_') || exchange.maps(name)
}

/// The path without its percent escapes.
fn decode<'a>(path: &'a [u8], room: &'a mut Vec<u8>) -> &'a [u8] {
    if !path.contains(&b'%') {
        return path;
    }
    room.clear();
    percent_decode(path, room);
    room
}

/// The name and port of a server on a unix socket, neither of them empty (PEP 3333):
/// the host that the client names, otherwise the socket's address, and the default port
/// of the scheme.
fn server_of<'a>(
    host: &'a [u8],
    own: &'a UnixAddress,
    default_port: &'a [u8],
) -> (Cow<'a, [u8]>, &'a [u8]) {
    let is_port = |at: &usize| host[at + 1..].iter().all(u8::is_ascii_digit);
    let colon = host.iter().rposition(|byte| *byte == b':').filter(is_port);
    let (name, port) = colon.map_or((host, &b""[..]), |at| (&host[..at], &host[at + 1..]));
    let name = match own {
        _ if !name.is_empty() => Cow::from(name),
        UnixAddress::Path(path) => Cow::from(path.as_os_str().as_bytes()),
        UnixAddress::Abstract(name) => Cow::from([b"@", name.as_slice()].concat()),
        UnixAddress::Unnamed => Cow::from(&b"localhost"[..]),
    };
    (name, if port.is_empty() { default_port } else { port })
}
