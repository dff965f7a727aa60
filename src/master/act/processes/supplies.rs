//! What all processes, or some of them, are passed while they run: logs that were opened
//! again, renewed certificates, the metrics that they ask for. Called by the event loop and by
//! `renewals.rs`.

use std::fs::File;
use std::rc::Rc;

use monoceros_wire::Generation;
use monoceros_wire::message::ToWorker;

use super::Processes;
use crate::master::act::generations::Generations;
use crate::master::act::logs::OpenLogs;
use crate::master::act::metrics_server::{WorkerAsk, WorkerMetrics};

impl Processes {
    /// The requests of workers for metrics since the last call.
    pub(crate) fn take_metrics_asks(&mut self) -> Vec<WorkerAsk> {
        std::mem::take(&mut self.metrics_asks)
    }

    /// Sends metrics to a worker, which may be gone.
    pub(crate) fn send_metrics(&self, metrics: &WorkerMetrics) {
        if let Some(process) = self.running.get(&metrics.ask.worker) {
            process.send_metrics(metrics);
        }
    }

    /// Opens the logs of all generations again, also of those of which only processes are left.
    pub(crate) fn reopen_logs(&self, generations: &Generations) {
        let mut logs: Vec<&Rc<OpenLogs>> = Vec::new();
        let of_processes = self.running.values().map(|it| &it.logs);
        for known in generations.specs().map(|spec| &spec.logs).chain(of_processes) {
            if !logs.iter().any(|other| Rc::ptr_eq(other, known)) {
                logs.push(known);
            }
        }
        logs.into_iter().for_each(|it| it.reopen());
    }

    /// Passes the logs to all processes with a channel. A worker that is not forked yet gets them
    /// with its first message. A program has no channel; the signal that means the same may end
    /// it, and is for USR1 only.
    pub(crate) fn pass_logs(&self) {
        let with_channel = self.running.values().filter(|process| process.has_channel());
        with_channel.for_each(|process| process.send(&ToWorker::Reopen));
    }

    /// Sends the workers of a generation its certificates and keys if they are new, or if a
    /// worker did not get them before. A worker that is not forked yet gets them when it is.
    pub(crate) fn send_certificates(
        &mut self,
        generation: Generation,
        file: &Rc<File>,
        are_new: bool,
    ) {
        let workers = self.running.values().filter(|it| it.generation == generation);
        workers.for_each(|worker| worker.send_certificates(file, are_new));
        self.forks.all_mut().for_each(|fork| fork.replace_certificates(generation, file));
    }
}
