//! The kernel's memory, as far as patches use it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// What grows if something is done so many times: at least by one for every second time, or by a hundred.
///
/// It is done a few times before, for what is kept from the first time on.
pub(crate) fn growth(times: i64, mut cycle: impl FnMut()) -> Vec<String> {
    let gauge = Gauge::new();
    for _ in 0..3 {
        cycle();
    }
    let before = gauge.settled();
    for _ in 0..times {
        cycle();
    }
    let after = gauge.settled();
    let least = (times / 2).min(100);
    let growth = |(kind, now): (&String, &i64)| {
        let grown = now - before.get(kind).copied().unwrap_or_default();
        (grown >= least).then(|| format!("{kind}: {grown}"))
    };
    after.iter().filter_map(growth).collect()
}

/// How much of each kind of memory is in use.
type Usage = BTreeMap<String, i64>;

/// Counts the objects of the caches behind `kmalloc` and of sysfs, and the pages of `vmalloc`, where modules are.
///
/// The files are kept open: to open one is to allocate.
struct Gauge {
    drop_caches: File,
    shrink: Vec<File>,
    slabs: File,
    memory: File,
}

/// How often is counted: the least is nearest to the truth.
const COUNTS: usize = 5;

impl Gauge {
    fn new() -> Self {
        let shrink = fs::read_dir("/sys/kernel/slab").unwrap().filter_map(|entry| {
            let path = entry.unwrap().path();
            let cache = path.file_name().unwrap().to_str().unwrap();
            is_counted(cache).then(|| File::options().write(true).open(path.join("shrink")).unwrap())
        });
        Self {
            drop_caches: File::options().write(true).open("/proc/sys/vm/drop_caches").unwrap(),
            shrink: shrink.collect(),
            slabs: File::open("/proc/slabinfo").unwrap(),
            memory: File::open("/proc/meminfo").unwrap(),
        }
    }

    /// What is in use once what was freed before has come back to its cache.
    ///
    /// What is freed under RCU, shadow variables too, the kernel gathers for five seconds, unless memory is
    /// short, which dropping caches says. The count comes after the next grace period.
    fn settled(&self) -> Usage {
        let mut least = Usage::new();
        for _ in 0..COUNTS {
            // Slab objects only. A sysctl ignores what is written behind its start.
            self.drop_caches.write_all_at(b"2", 0).unwrap();
            std::thread::sleep(Duration::from_millis(100));
            for (kind, count) in self.now() {
                let least = least.entry(kind).or_insert(count);
                *least = count.min(*least);
            }
        }
        least
    }

    /// What is in use, and up to one slab of each cache: of a slab that a processor keeps, the free objects
    /// count too. So each cache gives these back before it is counted.
    fn now(&self) -> Usage {
        for mut shrink in &self.shrink {
            shrink.write_all(b"1").unwrap();
        }
        let mut usage = Usage::new();
        for line in text(&self.slabs).lines().filter(|line| is_counted(line)) {
            let mut words = line.split_whitespace();
            let (cache, active) = (words.next().unwrap(), words.next().unwrap());
            *usage.entry(kind(cache)).or_default() += active.parse::<i64>().unwrap();
        }
        assert!(usage.len() > 10, "{usage:?}");
        let memory = text(&self.memory);
        let vmalloc = memory.lines().find_map(|line| line.strip_prefix("VmallocUsed:")).unwrap();
        let kilobytes: i64 = vmalloc.trim().trim_end_matches(" kB").parse().unwrap();
        usage.insert("vmalloc pages".into(), kilobytes / 4);
        usage
    }
}

fn is_counted(cache: &str) -> bool {
    cache.starts_with("kmalloc-") || cache.starts_with("kernfs_node_cache")
}

/// The cache's name. Those from which `kmalloc` chooses for one size, by the caller's address too, are one kind.
fn kind(cache: &str) -> String {
    match cache.rsplit_once('-') {
        Some((_, size)) if cache.starts_with("kmalloc-") => format!("kmalloc-{size}"),
        _ => cache.to_owned(),
    }
}

/// What a file of procfs has now.
fn text(file: &File) -> String {
    let (mut text, mut piece) = (Vec::new(), [0; 16 * 1024]);
    loop {
        match file.read_at(&mut piece, text.len() as u64).unwrap() {
            0 => return String::from_utf8(text).unwrap(),
            length => text.extend_from_slice(&piece[..length]),
        }
    }
}
