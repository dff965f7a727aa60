//! From settings to a running master: everything that is done once, in this order.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use monoceros_config::{Loaded, LogLevel, LogTarget};
use monoceros_log::{Destination, Identity, RecordWriter, install};
use monoceros_sys::daemon::{self, DaemonSide, Starter};
use monoceros_sys::{clock, limit, process, reason, signal, title};
use monoceros_wire::Generation;
use monoceros_wire::message::ApplicationCheck;

use crate::cli::{complain, write_error};

use crate::master::act::concern_report::ConcernReport;
use crate::master::act::config_reader::{self, FirstMold, ReadFailure};
use crate::master::act::deployment;
use crate::master::act::event_loop::{LoopParts, MasterLoop};
use crate::master::act::invocation::Invocation;
use crate::master::act::lenient_check;
use crate::master::act::listener::{OwnedListener, adopt_activated};
use crate::master::act::logs;
use crate::master::act::notify_sender::NotifySender;
use crate::master::act::python_file::{MoldFile, values_of};
use crate::master::act::startup::CANNOT_START;
use crate::master::act::upgrade::{check_program, inherit};
use crate::master::act::worker_spec::WorkerSpec;
use crate::master::decide::master::{Master, StartContext};
use crate::master::decide::state::Purpose;

/// Serves, or checks, until the end; returns the exit code.
pub(crate) fn run(loaded: &Loaded, purpose: Purpose) -> u8 {
    run_with(loaded, purpose, CheckTask::default())
}

/// Checks the settings and the application, and writes what the operator should correct to
/// standard output; with `deploy` also what a deployment must not have. Returns the exit code:
/// 1 if there is such a thing.
pub(crate) fn check(loaded: &Loaded, deploy: bool) -> u8 {
    run_with(loaded, Purpose::Check, CheckTask { is_listed: true, deploy, prints: false })
}

/// Checks the settings and the application, and writes all settings to standard output in
/// gunicorn's form. Returns the exit code.
pub(crate) fn print(loaded: &Loaded) -> u8 {
    run_with(loaded, Purpose::Check, CheckTask { prints: true, ..CheckTask::default() })
}

/// What a check does beside loading the application.
#[derive(Clone, Copy, Debug, Default)]
struct CheckTask {
    /// The concerns are written to standard output.
    is_listed: bool,
    /// It looks for what a deployment must not have.
    deploy: bool,
    /// A mold prints the settings.
    prints: bool,
}

fn run_with(loaded: &Loaded, purpose: Purpose, task: CheckTask) -> u8 {
    // The Python of workers sets its own actions for these signals.
    signal::ignore_meaningless();
    // A limit that cannot be raised stays as it is.
    limit::raise().ok();
    match open(loaded, purpose, task) {
        Ok(Opened::Starter(code)) => code,
        Ok(Opened::Server(mut parts, loaded, purpose)) => {
            loaded.warnings.iter().for_each(|warning| parts.concerns.write(warning, false));
            loaded.notes.iter().for_each(|note| log::debug!("{note}"));
            serve(*parts, purpose).unwrap_or_else(|text| {
                log::error!("{text}");
                CANNOT_START
            })
        }
        Err(StartFailure::Text(text)) => {
            complain(&text);
            CANNOT_START
        }
        Err(StartFailure::File(text, code)) => {
            write_error(&text);
            code
        }
    }
}

/// Why no process serves.
#[derive(Debug)]
enum StartFailure {
    /// The error.
    Text(String),
    /// The configuration file in Python cannot be used: the text as gunicorn writes it, and the
    /// exit code.
    File(String, u8),
}

impl From<String> for StartFailure {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// The process that this has become.
enum Opened {
    /// The starting process of a server that has gone to the background. It exits with this
    /// code.
    Starter(u8),
    /// The process that serves or checks, and its settings.
    Server(Box<LoopParts>, Box<Loaded>, Purpose),
}

/// Does everything up to the error log; before, errors can only be printed.
fn open(found: &Loaded, purpose: Purpose, task: CheckTask) -> Result<Opened, StartFailure> {
    process::check_kernel().map_err(|error| format!("cannot start: {}", reason(&error)))?;
    let invocation = Invocation::own()?;
    let inherited = inherit(&invocation)?;
    let (mut loaded, mut mold) = read_file(found, &invocation, task)?;
    let (purpose, task) = task_of(&loaded, purpose, task);
    let is_lenient = purpose == Purpose::Check && !task.is_listed && loaded.has_gunicorn_source();
    if is_lenient {
        let left_out = lenient_check::leave_out(&mut loaded.settings, &invocation.directory);
        loaded.warnings.extend(left_out);
    }
    let mut spec = WorkerSpec::new(&loaded, &invocation)?;
    let mut starter = None;
    let mut concerns = ConcernReport::default();
    if purpose == Purpose::Check {
        if mold.is_some() && spec.mold_file.is_none() && spec.kind.can_check() {
            spec.mold_file = Some(MoldFile::new(&loaded, &invocation)?);
        }
        if let Some(file) = &mut spec.mold_file {
            (file.prints, file.is_lenient) = (task.prints, is_lenient);
        }
        concerns = prepare_check(&loaded, &mut spec, task);
    } else if spec.settings.daemon && inherited.is_none() {
        // Threads and terminals that the file has would stay with this process: the one in the
        // background runs the file again.
        drop(mold.take());
        match daemon::detach() {
            Ok(DaemonSide::Server(server)) => {
                (loaded, mold) = read_file(found, &invocation, task)?;
                spec = WorkerSpec::new(&loaded, &invocation)?;
                starter = Some(server);
            }
            Ok(DaemonSide::Starter(code)) => {
                report_failure(code, &spec);
                return Ok(Opened::Starter(code));
            }
            Err(error) => {
                return Err(format!("cannot go to the background: {}", reason(&error)).into());
            }
        }
    }
    if spec.mold_file.is_none() {
        mold = None;
    }
    let log = open_logs(&spec, starter.as_ref())?;
    // Until everything is passed on, the predecessor notifies the init system.
    let socket = invocation.variable("NOTIFY_SOCKET").filter(|_| inherited.is_none());
    let notify_sender = NotifySender::open(socket.as_deref())
        .map_err(|error| format!("cannot use NOTIFY_SOCKET: {}", reason(&error)))?;
    let (activated, pid_path) = (Vec::new(), None);
    let parts = LoopParts {
        invocation,
        spec,
        activated,
        log,
        starter,
        notify_sender,
        concerns,
        pid_path,
        inherited,
        mold,
    };
    Ok(Opened::Server(Box::new(parts), Box::new(loaded), purpose))
}

/// What is to be done by all settings: a configuration file in Python may ask for a check, too.
fn task_of(loaded: &Loaded, purpose: Purpose, task: CheckTask) -> (Purpose, CheckTask) {
    let (prints, checks) = (loaded.settings.print_config, loaded.settings.check_config);
    if purpose == Purpose::Serve && (prints || checks) {
        (Purpose::Check, CheckTask { prints, ..CheckTask::default() })
    } else {
        (purpose, task)
    }
}

/// Makes the settings those of a check. Returns where its concerns go, with those about the
/// settings.
fn prepare_check(loaded: &Loaded, spec: &mut WorkerSpec, task: CheckTask) -> ConcernReport {
    let mut concerns =
        if task.is_listed { ConcernReport::to_output() } else { ConcernReport::default() };
    if task.deploy {
        let found = deployment::find_concerns(loaded, spec);
        found.iter().for_each(|text| concerns.write(text, false));
    }
    let public = deployment::public_addresses(&spec.settings);
    spec.check = Some(ApplicationCheck { deploy: task.deploy, public });
    spec.settings.bind.clear();
    spec.settings.metrics.clear();
    spec.settings.preload = false;
    // A check logs warnings and errors only.
    spec.settings.log_level = spec.settings.log_level.max(LogLevel::Warning);
    concerns
}

/// Runs the configuration file in Python, if there is one, in a mold that stays for the server.
/// Returns the settings with what the file sets. A mold also prints settings in gunicorn's form.
fn read_file(
    found: &Loaded,
    invocation: &Invocation,
    task: CheckTask,
) -> Result<(Loaded, Option<FirstMold>), StartFailure> {
    if !found.is_partial() && !task.prints {
        return Ok((found.clone(), None));
    }
    let (file, extension) = (MoldFile::new(found, invocation)?, invocation.extension()?);
    let limit = found.settings.boot_timeout;
    match config_reader::read(&file, &extension, limit) {
        Ok((mold, values)) if found.is_partial() => {
            let values = values_of(values);
            let loaded = invocation.load_with(&values);
            if loaded.is_err() && task.prints {
                let lenient = invocation.load_leniently(&values);
                let file = MoldFile::new(&lenient, invocation)?;
                let settings = file.settings_to_print(&lenient, &invocation.directory);
                config_reader::print(&mold, settings, limit);
            }
            Ok((loaded?, Some(mold)))
        }
        Ok((mold, _)) => Ok((found.clone(), Some(mold))),
        Err(ReadFailure::Lost(text)) => Err(text.into()),
        Err(ReadFailure::Refused(text, code)) => Err(StartFailure::File(text, code)),
    }
}

/// Names the log of the server, which has the cause. The terminal may not have shown it.
fn report_failure(code: u8, spec: &WorkerSpec) {
    if let (1.., LogTarget::Path(path)) = (code, &spec.settings.error_logfile) {
        let path = spec.directory.join(path);
        complain(&format!("cannot serve; {} says why", path.display()));
    }
}

/// Opens the logs before there is any worker, so that a path that cannot be
/// written is known at once, also for the user that the workers run as.
fn open_logs(spec: &WorkerSpec, starter: Option<&Starter>) -> Result<Arc<RecordWriter>, String> {
    let open =
        |setting, stream| logs::open_setting(setting, stream, &spec.directory, spec.owner.as_ref());
    let log = Arc::new(open(&spec.settings.error_logfile, Destination::Stderr)?);
    if let Some(setting) = &spec.settings.access_logfile {
        open(setting, Destination::Stdout)?;
    }
    let writer = Arc::new(RecordWriter::new(Arc::clone(&log)));
    install(&Identity::Master, spec.level(), Arc::clone(&writer));
    logs::configure(&writer, &spec.settings, spec.name(None));
    let mut redirected = Ok(());
    if starter.is_some() {
        // The log keeps its own way to the terminal until the server serves.
        redirected = daemon::close_standard();
    }
    if spec.settings.capture_output {
        redirected = redirected.and_then(|()| log.capture_output());
    }
    redirected.map_err(|error| format!("cannot redirect the output: {}", reason(&error)))?;
    Ok(writer)
}

fn serve(mut parts: LoopParts, purpose: Purpose) -> Result<u8, String> {
    let spec = &parts.spec;
    if purpose == Purpose::Check && !spec.kind.can_check() {
        return Ok(parts.concerns.exit_code(0));
    }
    let mut settings = spec.master_settings();
    title::set(&format!("monoceros: master [{}]", spec.name(None)));
    if purpose == Purpose::Check {
        settings.workers = 1;
    } else {
        parts.activated = find_activated(&parts)?;
        if !parts.activated.is_empty() && spec.binds_are_set {
            log::warn!("bind is ignored: sockets were passed in by LISTEN_FDS");
        }
        parts.pid_path = spec.settings.pid.as_ref().map(|path| spec.directory.join(path));
    }
    if let Some(Err(text)) = parts.spec.other_user().map(|_| check_program(&parts.invocation)) {
        log::warn!("{text}; there will be no upgrade");
    }
    let context = begin(purpose, &parts);
    let mut event_loop =
        MasterLoop::new(parts).map_err(|it| format!("cannot start: {}", reason(&it)))?;
    if purpose == Purpose::Serve {
        event_loop.open_control_socket();
    }
    Ok(event_loop.run(Master::new(context, settings, Instant::now())))
}

/// The sockets that were passed in by `LISTEN_FDS`, to this process or to the
/// master before it.
fn find_activated(parts: &LoopParts) -> Result<Vec<Rc<OwnedListener>>, String> {
    if let Some(inherited) = &parts.inherited {
        let activated = inherited.listeners.iter().filter(|it| it.is_activated());
        return Ok(activated.cloned().collect());
    }
    let variable = |name: &str| parts.invocation.variable(name)?.into_string().ok();
    adopt_activated(variable).map_err(|failure| failure.text)
}

/// What the decisions of the master depend on before anything has happened.
fn begin(purpose: Purpose, parts: &LoopParts) -> StartContext {
    let number = |name| parts.invocation.variable(name)?.to_str()?.parse::<u64>().ok();
    let inherited = parts.inherited.as_ref();
    let watchdog =
        number("WATCHDOG_USEC").filter(|usec| parts.invocation.is_watched() && *usec > 0);
    StartContext {
        purpose,
        generation: inherited.map_or(Generation(1), |it| it.generation),
        follows: inherited.is_some(),
        workers: inherited.and_then(|it| it.workers),
        watchdog: watchdog.map(Duration::from_micros),
        seed: clock::monotonic_us() ^ (u64::from(std::process::id()) << 32),
    }
}
