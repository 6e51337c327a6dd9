//! Several patches at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Does the work on each item, on at most `jobs` of them at the same time, and returns the results in the order of
/// the items.
pub(super) fn run<T: Sync, R: Send>(items: &[T], jobs: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut results = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { break };
            results.push((index, work(item)));
        }
        results
    };
    let mut results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.clamp(1, items.len().max(1))).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("the work does not panic")).collect()
    });
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc;

    use super::*;

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
            *item
        });
        assert_eq!(results, [1, 2]);
    }

    #[test]
    fn nothing_to_do_is_done() {
        assert!(run(&[], 3, |(): &()| ()).is_empty());
    }
}
