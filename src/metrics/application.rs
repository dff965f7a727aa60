//! The metrics that the processes of an application have counted with `prometheus_client`,
//! added up by the rules of its `MultiProcessCollector`.
//!
//! Each process writes a file for each type of metric: `counter_PROCESS.db`,
//! `histogram_PROCESS.db`, `summary_PROCESS.db`, and `gauge_MODE_PROCESS.db`, where the mode is
//! how the values of several processes become one. The files are written while they are read,
//! and any process of the workers' user can write them: a file that is broken is left out as a
//! whole.

mod file;
mod number;

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::application::file::{FileEntry, read_entries};
use crate::application::number::go_text;
use crate::exposition::{Exposition, FamilyWriter, MetricKind};
use crate::families::is_own;

pub use crate::application::file::used_length;

/// Labels with their values, in the order of their names.
type Labels = Vec<(String, String)>;

/// The label with the process of a gauge that has a value for each of them.
const PROCESS: &str = "pid";
/// The label with the bound of a bucket.
const BOUND: &str = "le";

/// What was counted in all files.
#[derive(Debug, Default)]
pub struct MergedMetrics {
    families: BTreeMap<String, MergedFamily>,
    /// The keys of entries are the same in the files of all processes.
    keys: HashMap<Vec<u8>, Option<Rc<SampleKey>>>,
}

/// The key of an entry.
#[derive(Debug)]
struct SampleKey {
    family: String,
    /// What the name of the sample has behind that of the family.
    suffix: String,
    labels: Labels,
    /// What it means in a histogram, if it has a bound.
    bucket: Option<BucketKey>,
    help: String,
}

/// The key of a bucket.
#[derive(Debug)]
struct BucketKey {
    /// The labels without the bound.
    labels: Labels,
    /// `None` for a text that is no number.
    bound: Option<f64>,
}

/// A metric, added up over the processes.
#[derive(Debug)]
struct MergedFamily {
    kind: MetricKind,
    help: String,
    groups: BTreeMap<Labels, SampleGroup>,
}

/// The samples with the same labels, apart from the bounds of buckets.
#[derive(Debug, Default)]
struct SampleGroup {
    /// By the ends of their names.
    values: BTreeMap<String, MergedValue>,
    /// Bounds, and what was counted between each and the one before.
    buckets: Vec<(f64, f64)>,
}

#[derive(Clone, Copy, Debug)]
struct MergedValue {
    value: f64,
    /// When the value was set, for gauges that show the newest one.
    set: f64,
}

/// How the values of several processes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MergeRule {
    Sum,
    Least,
    Greatest,
    Newest,
    /// Each process has a sample of its own.
    Apart,
}

/// The parts of the name of a file.
struct ValueFile<'a> {
    kind: MetricKind,
    rule: MergeRule,
    process: &'a str,
}

/// A file cannot be read: why.
#[derive(Debug, PartialEq, Eq)]
pub struct BrokenFile(&'static str);

impl BrokenFile {
    /// The reason.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.0
    }
}

impl MergedMetrics {
    /// Adds the content of a file with this name.
    ///
    /// # Errors
    /// For a file that `prometheus_client` has not written. Nothing of it is added.
    pub fn add(&mut self, name: &str, content: &[u8]) -> Result<(), BrokenFile> {
        let file = ValueFile::of(name).ok_or(BrokenFile("its name has no known type"))?;
        for entry in read_entries(content).map_err(BrokenFile)? {
            self.add_entry(&file, &entry);
        }
        Ok(())
    }

    fn add_entry(&mut self, file: &ValueFile, entry: &FileEntry) {
        let Some(key) = self.key(entry.key) else { return };
        // As with labels, a name is copied once.
        if !self.families.contains_key(&key.family) {
            let (kind, help, groups) = (file.kind, key.help.clone(), BTreeMap::new());
            self.families.insert(key.family.clone(), MergedFamily { kind, help, groups });
        }
        let Some(family) = self.families.get_mut(&key.family) else { return };
        // Two metrics of an application with one name and several types.
        if family.kind == file.kind {
            family.add(file, &key, entry);
        }
    }

    /// Everything was added: forgets what only helps to add.
    #[must_use]
    pub fn finish(self) -> Self {
        Self { keys: HashMap::new(), ..self }
    }

    /// The key of an entry; `None` if it is not for others to read.
    fn key(&mut self, text: &[u8]) -> Option<Rc<SampleKey>> {
        if let Some(known) = self.keys.get(text) {
            return known.clone();
        }
        let key = SampleKey::read(text).map(Rc::new);
        self.keys.insert(text.to_vec(), key.clone());
        key
    }

    /// Writes all families.
    pub fn write(&self, exposition: &mut Exposition) {
        for (name, family) in &self.families {
            let writer = exposition.family(name, family.kind, "", &family.help);
            family.write(writer);
        }
    }
}

impl SampleKey {
    /// Reads a key: a list in JSON. Names of the server's own metrics are left out, and what
    /// could not be read back from the text.
    fn read(text: &[u8]) -> Option<Self> {
        let key: (String, String, BTreeMap<String, String>, String) =
            serde_json::from_slice(text).ok()?;
        let (family, name, labels, help) = key;
        let suffix = name.strip_prefix(&family)?;
        if is_own(&family) || is_own(&name) {
            return None;
        }
        let mut read: Labels = Vec::new();
        for (name, value) in labels {
            read.push((readable(&name, false)?, value));
        }
        read.sort();
        // The same label twice is no valid line.
        if read.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return None;
        }
        let suffix = allowed_letters(suffix, true);
        let family = readable(&family, true)?;
        let bucket = BucketKey::of(&read);
        Some(Self { family, suffix, labels: read, bucket, help })
    }
}

impl BucketKey {
    fn of(labels: &Labels) -> Option<Self> {
        let at = labels.iter().position(|(name, _)| name == BOUND)?;
        let mut labels = labels.clone();
        let (_, bound) = labels.remove(at);
        Some(Self { labels, bound: bound.parse().ok() })
    }
}

/// A name as both formats allow it; `None` if it cannot be made one.
fn readable(name: &str, with_colons: bool) -> Option<String> {
    let name = allowed_letters(name, with_colons);
    let first = name.chars().next()?;
    (!first.is_ascii_digit()).then_some(name)
}

/// Other letters than those of names become underscores, as `prometheus_client` writes them.
fn allowed_letters(text: &str, with_colons: bool) -> String {
    let allowed = |letter: char| {
        letter.is_ascii_alphanumeric() || letter == '_' || with_colons && letter == ':'
    };
    text.chars().map(|letter| if allowed(letter) { letter } else { '_' }).collect()
}

impl<'a> ValueFile<'a> {
    fn of(name: &'a str) -> Option<Self> {
        let mut parts = name.strip_suffix(".db")?.split('_');
        let (kind, rule) = match parts.next()? {
            "counter" => (MetricKind::Counter, MergeRule::Sum),
            "histogram" => (MetricKind::Histogram, MergeRule::Sum),
            "summary" => (MetricKind::Summary, MergeRule::Sum),
            "gauge" => (MetricKind::Gauge, MergeRule::of_mode(parts.next()?)),
            _ => return None,
        };
        Some(Self { kind, rule, process: parts.next()? })
    }
}

impl MergeRule {
    fn of_mode(mode: &str) -> Self {
        // The files of live gauges are removed when their process has ended.
        match mode.strip_prefix("live").unwrap_or(mode) {
            "sum" => Self::Sum,
            "min" => Self::Least,
            "max" => Self::Greatest,
            "mostrecent" => Self::Newest,
            _ => Self::Apart,
        }
    }
}

impl MergedFamily {
    fn add(&mut self, file: &ValueFile, key: &SampleKey, entry: &FileEntry) {
        if let (MetricKind::Histogram, Some(bucket)) = (self.kind, &key.bucket) {
            if let Some(bound) = bucket.bound {
                self.change(&bucket.labels, |group| group.count(bound, entry.value));
            }
        } else if file.rule == MergeRule::Apart {
            let mut labels = key.labels.clone();
            labels.retain(|(name, _)| name != PROCESS);
            labels.push((PROCESS.to_owned(), file.process.to_owned()));
            labels.sort();
            self.change(&labels, |group| group.add(file.rule, &key.suffix, entry));
        } else {
            self.change(&key.labels, |group| group.add(file.rule, &key.suffix, entry));
        }
    }

    /// Changes the samples with these labels. There are many entries of few labels, which are
    /// copied once.
    fn change(&mut self, labels: &Labels, change: impl FnOnce(&mut SampleGroup)) {
        if let Some(group) = self.groups.get_mut(labels) {
            return change(group);
        }
        let mut group = SampleGroup::default();
        change(&mut group);
        self.groups.insert(labels.clone(), group);
    }

    fn write(&self, mut writer: FamilyWriter) {
        for (labels, group) in &self.groups {
            let pairs = borrowed(labels);
            let mut buckets = group.buckets.clone();
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            let mut count = 0.0;
            for (bound, value) in &buckets {
                count += value;
                let bound = go_text(*bound);
                let mut pairs = pairs.clone();
                pairs.push((BOUND, &bound));
                pairs.sort_unstable();
                writer.sample("_bucket", &pairs, count);
            }
            if !buckets.is_empty() {
                writer.sample("_count", &pairs, count);
            }
            for (suffix, merged) in &group.values {
                writer.sample(suffix, &pairs, merged.value);
            }
        }
    }
}

fn borrowed(labels: &Labels) -> Vec<(&str, &str)> {
    labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

impl SampleGroup {
    /// Adds to a bucket.
    fn count(&mut self, bound: f64, value: f64) {
        match self.buckets.iter_mut().find(|(known, _)| *known == bound) {
            Some((_, sum)) => *sum += value,
            None => self.buckets.push((bound, value)),
        }
    }

    fn add(&mut self, rule: MergeRule, suffix: &str, entry: &FileEntry) {
        let new = MergedValue { value: entry.value, set: entry.timestamp };
        let Some(known) = self.values.get_mut(suffix) else {
            // A gauge that was never set has no newest value.
            if rule != MergeRule::Newest || new.set > 0.0 {
                self.values.insert(suffix.to_owned(), new);
            }
            return;
        };
        match rule {
            MergeRule::Sum => known.value += new.value,
            MergeRule::Least if new.value < known.value => *known = new,
            MergeRule::Greatest if new.value > known.value => *known = new,
            MergeRule::Newest if new.set > known.set => *known = new,
            MergeRule::Apart => *known = new,
            MergeRule::Least | MergeRule::Greatest | MergeRule::Newest => {}
        }
    }
}

#[cfg(test)]
mod tests;
