//! One row of the settings table: its columns, and the macro that makes the
//! table, `Settings` and `WorkerSettings` from one list. The list itself is in
//! `table.rs`.

use crate::raw::is_raw;
use crate::variable::PREFIX;

/// Heading under which a setting is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// What is served, and the Python that runs it.
    Application,
    /// Where connections come from.
    Socket,
    /// How many serve, and how long they may take.
    Workers,
    /// What a client may send, and how slowly.
    Http,
    /// Identity of the processes towards the operating system.
    Process,
    /// What is written, and where to.
    Logging,
    /// Where settings come from.
    Configuration,
}

impl Section {
    /// All of them, in the order of the printed pages.
    pub const ALL: [Self; 7] = [
        Self::Application,
        Self::Socket,
        Self::Workers,
        Self::Http,
        Self::Process,
        Self::Logging,
        Self::Configuration,
    ];

    /// The heading as printed.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Application => "Application",
            Self::Socket => "Server socket",
            Self::Workers => "Workers",
            Self::Http => "HTTP",
            Self::Process => "Process",
            Self::Logging => "Logging",
            Self::Configuration => "Configuration",
        }
    }
}

/// Part of the server that reads a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The master itself.
    Master,
    /// The master's listeners.
    Listener,
    /// Worker processes; they are sent exactly these rows.
    Worker,
}

/// What makes a changed value take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// A reload (SIGHUP) applies it to the processes that run.
    Live,
    /// A reload (SIGHUP) applies it to the workers that it starts.
    Rollout,
    /// Only a restart applies it.
    Restart,
}

/// How many words a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// None on the command line (`--daemon`), a truth value elsewhere.
    Switch,
    /// One; the last one said counts.
    One,
    /// Any number.
    List,
}

/// Smallest and largest number allowed.
pub(crate) type Bounds = Option<(u64, u64)>;

/// Nothing, or the reason why a text is refused.
pub(crate) type Checked = Result<(), String>;

/// A variable of the surroundings that replaces a default, as gunicorn has it.
#[derive(Clone, Copy, Debug)]
pub struct EnvDefault {
    /// Its name.
    pub variable: &'static str,
    /// The value it makes; `{}` stands for the variable's text.
    pub template: &'static str,
}

/// One setting.
///
/// `S` has a field for each row. Names are Rust's in here (`keep_alive`); see
/// [`TableRow::key`] for the user's.
#[derive(Clone, Copy, Debug)]
pub struct TableRow<S: 'static> {
    /// Field of `S`.
    pub name: &'static str,
    /// The whole documentation; its first paragraph is one sentence.
    pub doc: &'static str,
    /// Heading under which it is printed.
    pub section: Section,
    /// One-letter flag.
    pub short: Option<char>,
    /// Further spellings of the flag and the key.
    pub aliases: &'static [&'static str],
    /// What the value is called in help.
    pub placeholder: &'static str,
    /// Smallest and largest number allowed, in the unit of the setting.
    pub range: Bounds,
    /// Words with a meaning in the value, and what they mean.
    pub choices: &'static [(&'static str, &'static str)],
    /// How many words it takes.
    pub arity: Arity,
    /// Can be a mapping of names to values in the configuration file.
    pub mapping: bool,
    /// Said as a bare word on the command line, without a flag.
    pub positional: bool,
    /// Can be said in the configuration file.
    pub in_file: bool,
    /// The parts of the server that read it.
    pub readers: &'static [Reader],
    /// What makes a change take effect.
    pub effect: Effect,
    /// Name of the same setting in gunicorn's configuration file.
    pub gunicorn: Option<&'static str>,
    /// How it differs from gunicorn's, if it does.
    pub differs: Option<&'static str>,
    /// The variable that gunicorn, too, takes a default from.
    pub env_default: Option<EnvDefault>,
    /// Its words may stand for bytes that are not UTF-8.
    pub(crate) raw: bool,
    pub(crate) parse: fn(&str, Bounds) -> Checked,
    pub(crate) set: fn(&mut S, &[String], Bounds) -> Checked,
    pub(crate) get: fn(&S) -> Vec<String>,
}

impl<S> TableRow<S> {
    /// A row with every column at its most frequent value.
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
        positional: false,
        in_file: true,
        readers: &[],
        effect: Effect::Rollout,
        gunicorn: None,
        differs: None,
        env_default: None,
        raw: false,
        parse: |_, _| Ok(()),
        set: |_, _, _| Ok(()),
        get: |_| Vec::new(),
    };

    /// The user's name for the setting: `keep-alive`.
    #[must_use]
    pub fn key(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The long flag: `--keep-alive`.
    #[must_use]
    pub fn flag(&self) -> String {
        format!("--{}", self.key())
    }

    /// What it is called on the command line: the flag, or the placeholder of
    /// what is said without one.
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

    /// Every name it answers to, with `_`.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> + use<S> {
        let others = self.aliases.iter().copied().chain(self.gunicorn);
        std::iter::once(self.name).chain(others).map(|name| name.replace('-', "_"))
    }

    /// The value as the user would write it: no text if unset, several for a list.
    #[must_use]
    pub fn texts(&self, settings: &S) -> Vec<String> {
        (self.get)(settings)
    }

    /// The first sentence of the documentation.
    #[must_use]
    pub fn summary(&self) -> String {
        self.paragraphs().into_iter().next().unwrap_or_default()
    }

    /// The documentation, one text without line ends for each paragraph.
    #[must_use]
    pub fn paragraphs(&self) -> Vec<String> {
        let lines: Vec<_> = self.doc.lines().map(str::trim).collect();
        lines
            .split(|line| line.is_empty())
            .filter(|lines| !lines.is_empty())
            .map(|lines| lines.join(" "))
            .collect()
    }

    /// Says what is wrong with one word of a value, if anything is.
    pub(crate) fn refuse(&self, text: &str) -> Checked {
        if !self.raw && is_raw(text) {
            return Err("is not UTF-8".to_owned());
        }
        (self.parse)(text, self.range)
    }
}

/// Makes `Settings`, `WorkerSettings` and `ROWS` from one list, so that no row can
/// lack a field or a field a row. Each row is its documentation (which is the
/// setting's documentation everywhere), name, type, default, readers and further
/// columns.
macro_rules! settings {
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
        $name:ident: $type:ty = $default:expr, [$($reader:ident),+],
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
                name: stringify!($name),
                doc: concat!($($doc, "\n"),+),
                readers: &[$(Reader::$reader),+],
                arity: <$type as Value>::TAKES,
                raw: <$type as Value>::RAW,
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
