//! A row of the settings table: its columns, and the macro that makes the table, `Settings`
//! and `WorkerSettings` from one list. The list is in `table.rs`.

use crate::item::ItemForm;
use crate::raw::is_raw;
use crate::variable::PREFIX;

/// The heading of a group of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The application, and its Python.
    Application,
    /// The listening sockets.
    Socket,
    /// The number of workers and their time limits.
    Workers,
    /// The limits for clients.
    Http,
    /// The requests that are refused.
    Access,
    /// The files that the server sends by itself.
    Static,
    /// HTTPS: certificates, and what it refuses.
    Tls,
    /// What is taken from a proxy in front of the server.
    Proxy,
    /// The attributes of the processes in the operating system.
    Process,
    /// What the server shows of itself: metrics and health checks.
    Metrics,
    /// The logs.
    Logging,
    /// What helps while the application is being written.
    Development,
    /// The sources of settings.
    Configuration,
}

impl Section {
    /// All sections, in the order of the printed pages.
    pub const ALL: [Self; 13] = [
        Self::Application,
        Self::Socket,
        Self::Workers,
        Self::Http,
        Self::Access,
        Self::Static,
        Self::Tls,
        Self::Proxy,
        Self::Process,
        Self::Metrics,
        Self::Logging,
        Self::Development,
        Self::Configuration,
    ];

    /// The text of the heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Application => "Application",
            Self::Socket => "Server socket",
            Self::Workers => "Workers",
            Self::Http => "HTTP",
            Self::Access => "Access and limits",
            Self::Static => "Static files",
            Self::Tls => "TLS",
            Self::Proxy => "Behind a proxy",
            Self::Process => "Process",
            Self::Metrics => "Metrics and health",
            Self::Logging => "Logging",
            Self::Development => "Development",
            Self::Configuration => "Configuration",
        }
    }
}

/// A part of the server that reads a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The master itself.
    Master,
    /// The master's listeners.
    Listener,
    /// Worker processes. The master sends them these rows only.
    Worker,
}

/// The operation that makes a changed value take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// A reload (SIGHUP) applies it to the processes that run.
    Live,
    /// A reload (SIGHUP) applies it to the workers that it starts.
    Rollout,
    /// Only a restart applies it.
    Restart,
}

/// The number of words of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// None on the command line (`--daemon`), a boolean elsewhere.
    Switch,
    /// One that may be left out on the command line (`--proxy-protocol`, `--proxy-protocol
    /// v2`); without it the value is `true`.
    Optional,
    /// One; the last one wins.
    One,
    /// Any number.
    List,
}

/// The smallest and the largest number allowed.
pub(crate) type Bounds = Option<(u64, u64)>;

/// The result of a check; the error is the reason why a text is refused.
pub(crate) type Checked = Result<(), String>;

/// An environment variable that replaces a default, as in gunicorn.
#[derive(Clone, Copy, Debug)]
pub struct EnvDefault {
    /// Its name.
    pub variable: &'static str,
    /// The template of the value; `{}` stands for the variable's text.
    pub template: &'static str,
}

/// One setting.
///
/// `S` has a field for each row. Names have underscores here (`keep_alive`); see
/// [`TableRow::key`] for those with dashes.
#[derive(Clone, Copy, Debug)]
pub struct TableRow<S: 'static> {
    /// Its name: that of the field of `S`, unless that is a keyword of Rust.
    pub name: &'static str,
    /// The whole documentation; its first paragraph is one sentence.
    pub doc: &'static str,
    /// The group of the setting.
    pub section: Section,
    /// The one-letter flag.
    pub short: Option<char>,
    /// Further spellings of the flag and the key.
    pub aliases: &'static [&'static str],
    /// The name of the value in help.
    pub placeholder: &'static str,
    /// The smallest and the largest number allowed, in the unit of the setting.
    pub range: Bounds,
    /// The words that the value may have, with their meanings.
    pub choices: &'static [(&'static str, &'static str)],
    /// The number of words of a value.
    pub arity: Arity,
    /// Whether it can be a mapping of names to values in the configuration file.
    pub mapping: bool,
    /// The form of an item that is a mapping in the configuration file.
    pub(crate) item: Option<&'static ItemForm>,
    /// Whether it is a bare word on the command line, without a flag.
    pub positional: bool,
    /// Whether the configuration file can have it.
    pub in_file: bool,
    /// The parts of the server that read it.
    pub readers: &'static [Reader],
    /// The operation that makes a change take effect.
    pub effect: Effect,
    /// The name of the same setting in gunicorn's configuration file.
    pub gunicorn: Option<&'static str>,
    /// The difference from gunicorn's setting, if there is one.
    pub differs: Option<&'static str>,
    /// The environment variable that replaces the default, as in gunicorn.
    pub env_default: Option<EnvDefault>,
    /// Whether its words may stand for bytes that are not UTF-8.
    pub(crate) raw: bool,
    pub(crate) parse: fn(&str, Bounds) -> Checked,
    /// Joins the words of each item in a variable.
    pub(crate) join: fn(Vec<String>) -> Vec<String>,
    pub(crate) set: fn(&mut S, &[String], Bounds) -> Checked,
    pub(crate) get: fn(&S) -> Vec<String>,
}

impl<S> TableRow<S> {
    /// A row with the most frequent value of each column.
    pub(crate) const BLANK: Self = Self {
        name: "",
        doc: "",
        section: Section::Application,
        short: None,
        aliases: &[],
        placeholder: "",
        range: None,
        choices: &[],
        arity: Arity::One,
        mapping: false,
        item: None,
        positional: false,
        in_file: true,
        readers: &[],
        effect: Effect::Rollout,
        gunicorn: None,
        differs: None,
        env_default: None,
        raw: false,
        parse: |_, _| Ok(()),
        join: |words| words,
        set: |_, _, _| Ok(()),
        get: |_| Vec::new(),
    };

    /// The key of the setting: `keep-alive`.
    #[must_use]
    pub fn key(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The long flag: `--keep-alive`.
    #[must_use]
    pub fn flag(&self) -> String {
        format!("--{}", self.key())
    }

    /// The long flag, and its further spellings.
    pub(crate) fn long_flags(&self) -> Vec<String> {
        let others = self.aliases.iter().map(|alias| format!("--{alias}"));
        std::iter::once(self.flag()).chain(others).collect()
    }

    /// Its name on the command line: the flag, or the placeholder if it has none.
    #[must_use]
    pub fn subject(&self) -> String {
        if !self.positional {
            return self.flag();
        }
        let words = self.placeholder.split(' ');
        words.filter(|word| *word != "--").take(1).collect()
    }

    /// The environment variable: `MONOCEROS_KEEP_ALIVE`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_uppercase())
    }

    /// All its names, with underscores.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> + use<S> {
        let others = self.aliases.iter().copied().chain(self.gunicorn);
        std::iter::once(self.name).chain(others).map(|name| name.replace('-', "_"))
    }

    /// The value as text: no text if it is unset, several for a list.
    #[must_use]
    pub fn texts(&self, settings: &S) -> Vec<String> {
        (self.get)(settings)
    }

    /// The first sentence of the documentation.
    #[must_use]
    pub fn summary(&self) -> String {
        self.paragraphs().into_iter().next().unwrap_or_default()
    }

    /// The paragraphs of the documentation, without line ends.
    #[must_use]
    pub fn paragraphs(&self) -> Vec<String> {
        let lines: Vec<_> = self.doc.lines().map(str::trim).collect();
        lines
            .split(|line| line.is_empty())
            .filter(|lines| !lines.is_empty())
            .map(|lines| lines.join(" "))
            .collect()
    }

    /// Checks one word of a value.
    pub(crate) fn refuse(&self, text: &str) -> Checked {
        if !self.raw && is_raw(text) {
            return Err("is not UTF-8".to_owned());
        }
        (self.parse)(text, self.range)
    }
}

/// Makes `Settings`, `WorkerSettings` and `ROWS` from one list, so that each row has a field
/// and each field a row. A row has the documentation, which is printed everywhere, and
/// name, type, default, readers and further columns. A row whose name is a keyword of Rust has
/// it behind the name of its field: `static_files as "static"`.
macro_rules! settings {
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:literal) => { $name };
    (@reader Worker $name:ident: $type:ty) => {
        impl WorkerSettings {
            #[doc = concat!("The setting `", stringify!($name), "`.")]
            #[must_use]
            pub fn $name(&self) -> &$type {
                &self.0.$name
            }
        }
    };
    (@reader Master $name:ident: $type:ty) => {};
    (@reader Listener $name:ident: $type:ty) => {};
    ($(
        $(#[doc = $doc:literal])+
        $name:ident $(as $row:literal)?: $type:ty = $default:expr, [$($reader:ident),+],
        { $($column:ident: $value:expr),+ $(,)? };
    )+) => {
        /// The value of every setting.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Settings {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        /// The settings that a worker reads. A setting whose row does not list the
        /// worker as a reader is not sent to it, and cannot be used there:
        ///
        /// ```
        /// fn threads(settings: &monoceros_config::WorkerSettings) -> u16 {
        ///     *settings.threads()
        /// }
        /// ```
        /// ```compile_fail
        /// fn requests(settings: &monoceros_config::WorkerSettings) -> u32 {
        ///     *settings.max_requests()
        /// }
        /// ```
        #[derive(Clone, Debug, PartialEq)]
        pub struct WorkerSettings(pub(crate) Settings);

        $($(settings! { @reader $reader $name: $type })+)+

        /// The settings table, in the order of the printed pages.
        pub static ROWS: &[Row] = &[$(
            Row {
                name: settings!(@name $name $($row)?),
                doc: concat!($($doc, "\n"),+),
                readers: &[$(Reader::$reader),+],
                arity: <$type as Value>::TAKES,
                raw: <$type as Value>::RAW,
                join: <$type as Value>::join,
                parse: |text, range| <$type as Value>::parse(text, range).map(drop),
                set: |settings, texts, range| {
                    settings.$name = <$type as Value>::read(texts, range)?;
                    Ok(())
                },
                get: |settings| settings.$name.texts(),
                $($column: $value,)+
                ..Row::BLANK
            },
        )+];
    };
}
pub(crate) use settings;
