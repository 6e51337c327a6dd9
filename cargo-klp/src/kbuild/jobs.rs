//! Several patches at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::error::Result;

/// Does the work on each item, on at most `jobs` of them at the same time, and returns the results in the order of
/// the items. Once one has failed, no other one is begun.
///
/// # Errors
///
/// The error of the first item that has failed.
pub(super) fn run<T: Sync, R: Send>(
    items: &[T],
    jobs: usize,
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let (next, has_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let worker = || {
        let mut results = Vec::new();
        while !has_failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { break };
            let result = work(item);
            if result.is_err() {
                has_failed.store(true, Ordering::Relaxed);
            }
            results.push((index, result));
        }
        results
    };
    let mut results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.clamp(1, items.len().max(1))).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("the work returns its errors")).collect()
    });
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc;

    use super::*;
    use crate::error::Error;

    fn failure(package: &str) -> Error {
        Error::NotBuilt { package: package.into(), causes: Vec::new() }
    }

    #[test]
    fn results_have_the_order_of_the_items() {
        // The first item waits for the second one, so both are worked on at the same time.
        let (sender, receiver) = mpsc::channel();
        let (sender, receiver) = (Mutex::new(sender), Mutex::new(receiver));
        let results = run(&[1, 2], 2, |item| {
            match item {
                1 => receiver.lock().unwrap().recv().unwrap(),
                _ => sender.lock().unwrap().send(()).unwrap(),
            }
            Ok(*item)
        });
        assert_eq!(results.unwrap(), [1, 2]);
    }

    #[test]
    fn nothing_is_begun_after_a_failure() {
        let begun = Mutex::new(Vec::new());
        let results = run(&["a", "b", "c"], 1, |item| {
            begun.lock().unwrap().push(*item);
            if *item == "b" { Err(failure(item)) } else { Ok(()) }
        });
        assert!(matches!(results, Err(Error::NotBuilt { package, .. }) if package == "b"));
        assert_eq!(*begun.lock().unwrap(), ["a", "b"]);
    }

    #[test]
    fn nothing_to_do_is_done() {
        assert!(run(&[], 3, |(): &()| Ok(())).unwrap().is_empty());
    }
}
