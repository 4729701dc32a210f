//! The figures as text that Prometheus reads (its exposition format, version 0.0.4).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use freestone_store::Disk;

use crate::{Machine, Metric, Service};

/// The type of this text.
pub const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

impl<M: Machine, D: Disk> Service<M, D> {
    /// What `/metrics` answers.
    pub fn metrics(&self) -> String {
        let mut out = String::new();
        for metric @ Metric { name, help, value } in self.all_metrics() {
            let kind = if metric.is_counter() { "counter" } else { "gauge" };
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        }
        let name = "http_responses_total";
        let _ = writeln!(
            out,
            "# HELP {name} Answers, by the class of their code.\n# TYPE {name} counter"
        );
        for (index, count) in self.shared.answers().into_iter().enumerate() {
            let _ = writeln!(out, "{name}{{class=\"{}xx\"}} {count}", index + 1);
        }
        out
    }

    /// Those of the machine, the connections and the store.
    pub(crate) fn all_metrics(&self) -> Vec<Metric> {
        let mut all = self.machine.metrics();
        let mut add = |name, help, value| all.push(Metric { name, help, value });
        let answers = self.shared.answers().iter().sum();
        add("http_requests_total", "Requests that were answered.", answers);
        add("http_connections", "Connections that are open.", self.shared.open() as u64);
        let Ok(store) = &self.store else { return all };
        let stats = store.stats();
        add("store_keys", "Keys.", stats.keys);
        add("store_live_bytes", "Bytes of keys and values in use.", stats.live_bytes);
        add("store_used_bytes", "Bytes of the disk that are taken.", stats.used_bytes);
        add("store_free_bytes", "Bytes of the disk that are free.", stats.free_bytes);
        add("store_changes_total", "Keys that were put or deleted.", stats.puts);
        add("store_flushes_total", "Flushes of the disk.", stats.flushes);
        add("store_written_bytes_total", "Bytes written to the disk.", stats.written_bytes);
        add("store_compactions_total", "Parts of the disk that were emptied.", stats.compactions);
        all
    }
}
