//! The descriptions of the commands, for help, the manual page and the completions.

/// The description of a command.
pub(crate) struct CommandText {
    /// Its first word.
    pub(crate) name: &'static str,
    /// The words behind it that belong to this command only; may be empty.
    pub(crate) words: &'static str,
    /// What it does.
    pub(crate) text: &'static str,
}

impl CommandText {
    /// The command with its own words.
    pub(crate) fn usage(&self) -> String {
        format!("{} {}", self.name, self.words).trim_end().to_owned()
    }
}

const fn command(name: &'static str, words: &'static str, text: &'static str) -> CommandText {
    CommandText { name, words, text }
}

/// All commands. Those from `dev` on need no running server.
pub(crate) const COMMANDS: [CommandText; 18] = [
    command(
        "reload",
        "",
        "Reload the server as SIGHUP does, and wait: 0 when the new workers serve, 1 with the \
         reason when they cannot and the old ones stay.",
    ),
    command(
        "upgrade",
        "",
        "Replace the running master by a new one, as SIGUSR2 does, and wait: 0 when the new \
         master has taken over, 1 with the reason when the old one stays.",
    ),
    command(
        "stop",
        "",
        "Drain and stop the server as SIGTERM does, and wait: 0 when its master has ended. If the \
         server drains already, only wait.",
    ),
    command("status", "", "Show the state of the server and of each worker."),
    command(
        "requests",
        "",
        "Show the requests that run, the oldest first, and the last ones of each worker.",
    ),
    command(
        "stacks",
        "[WORKER]",
        "Show where in its code each thread of a worker is now, or of all workers.",
    ),
    command(
        "workers",
        "+N|-N|=N",
        "Change the number of workers, and wait until they serve or have ended. A reload goes \
         back to the number in the settings.",
    ),
    command(
        "log-level",
        "LEVEL",
        "Change the lowest level of messages in the error log, in all processes at once. A reload \
         goes back to the level in the settings.",
    ),
    command(
        "reopen",
        "",
        "Open the logs again as SIGUSR1 does, and wait until all processes have.",
    ),
    command(
        "recycle",
        "[WORKER]",
        "Replace a worker, or all workers one after the other, each when its replacement serves.",
    ),
    command("top", "", "Show the server on the terminal, and renew it each second."),
    command(
        "dev",
        "",
        "Serve the application of this directory to its developer: with `--reload`, at \
         127.0.0.1:8000, one worker, four threads, no `timeout`, a line for each request.",
    ),
    command(
        "init",
        "[APP]",
        "Write a `monoceros.yaml` with explanations for the project of this directory. An existing \
         one stays.",
    ),
    command(
        "convert",
        "FILE",
        "Print a configuration file of gunicorn as YAML: 0 when it has only values, 1 when \
         something in it has to stay in Python.",
    ),
    command(
        "check",
        "",
        "Check the settings and the application without serving: one line for each thing to \
         correct; 0 when there is none, 1 when there are some.",
    ),
    command(
        "completions",
        "SHELL",
        "Print the completions of a shell for this program: bash, zsh or fish.",
    ),
    command(
        "install-gunicorn-shim",
        "ENVIRONMENT",
        "Put a program gunicorn into a virtual environment, and the package of this name: both \
         run this server.",
    ),
    command("help", "", "Print the flags and commands."),
];

/// The flags of commands.
pub(crate) const FLAGS: [(&str, &str); 6] = [
    ("-p, --pid FILE", "The pid file of the server."),
    ("-c, --config FILE", "The configuration file that names its pid file."),
    (
        "--timeout SECONDS",
        "Maximum time to wait for the reply or the end; after it exit with 1, while the server \
         carries the command out. [0: no limit]",
    ),
    (
        "--json",
        "With each command but `top`: print the outcome as JSON. A failure is text on standard error.",
    ),
    (
        "--deploy",
        "With `check`: also list what a deployment must not have, such as debugging, with the \
         messages of Django's own `check --deploy`.",
    ),
    ("--replace", "With `install-gunicorn-shim`: also if another gunicorn is installed there."),
];

/// The description of all commands together.
pub(crate) const NOTES: [&str; 7] = [
    "A command is the first word of the command line. An application with the same name needs \
     its callable (`reload:application`). The server is named by the `PID` of its master or by \
     its pid file; without both, the pid file is that of the settings in the environment and \
     the configuration file.",
    "Words of a command stand before the `PID`: `monoceros workers +2 1234`. `WORKER` is the \
     number of a worker, as `status` shows it, or `all`, which a `PID` needs before itself: \
     `monoceros stacks all 1234`.",
    "`dev` takes the flags of the server. Without APP it finds `manage.py`, what `FLASK_APP` names, \
     else `app.py`, `wsgi.py` or `main.py` with an application. An address in its place is the \
     server's: `monoceros dev 8001`.",
    "`convert` runs the file, as a server would. What has to stay in Python is listed on standard \
     error.",
    "`check` takes the flags and the application that the server is started with \
     (`monoceros check --deploy shop.wsgi`), and opens no address.",
    "`completions` prints what the shell has to read, such as in \
     `source <(monoceros completions bash)`.",
    "The server accepts commands from the user of its master and from root. The exit code is 0 \
     when the command is done, 1 with the reason when it has failed, and 2 when the command \
     line is wrong.",
];
