//! The list that owns its values, on the host.

use std::rc::Rc;

use klp_runtime::list::List;
use klp_runtime::prelude::*;

fn list(values: impl IntoIterator<Item = u32>) -> List<u32> {
    let mut list = List::new();
    for value in values {
        list.push_back(value, GFP_KERNEL).unwrap();
    }
    list
}

/// The values from both ends, which must be the same.
fn values(list: &List<u32>) -> Vec<u32> {
    let forth: Vec<_> = list.iter().copied().collect();
    let mut back: Vec<_> = list.iter().rev().copied().collect();
    back.reverse();
    assert_eq!(forth, back);
    forth
}

#[test]
fn values_come_and_go_at_both_ends() {
    let mut list = list([2, 3]);
    list.push_front(1, GFP_KERNEL).unwrap();
    assert_eq!(values(&list), [1, 2, 3]);
    assert_eq!((list.pop_front(), list.pop_back()), (Some(1), Some(3)));
    assert_eq!(values(&list), [2]);
    assert_eq!(list.pop_back(), Some(2));
    assert!(list.is_empty());
    assert_eq!((list.pop_front(), list.pop_back()), (None, None));
    list.push_front(4, GFP_KERNEL).unwrap();
    list.push_back(5, GFP_KERNEL).unwrap();
    assert_eq!(values(&list), [4, 5]);
}

#[test]
fn what_is_kept_stays_in_order() {
    // All places of one that goes: first, between, last, all, none.
    for (gone, left) in [(vec![0], vec![1, 2]), (vec![1], vec![0, 2]), (vec![2], vec![0, 1])] {
        let mut list = list(0..3);
        let mut asked = Vec::new();
        list.retain(|value| {
            asked.push(*value);
            !gone.contains(value)
        });
        assert_eq!(asked, [0, 1, 2]);
        assert_eq!(values(&list), left);
    }
    let mut list = list(0..3);
    list.retain(|_| true);
    assert_eq!(values(&list), [0, 1, 2]);
    list.retain(|_| false);
    assert!(list.is_empty());
}

#[test]
fn values_are_changed_in_place() {
    let mut list = list(0..4);
    for value in &mut list {
        *value *= 10;
    }
    let mut ends = list.iter_mut();
    let (first, last) = (ends.next().unwrap(), ends.next_back().unwrap());
    core::mem::swap(first, last);
    assert_eq!(ends.count(), 2);
    assert_eq!(values(&list), [30, 10, 20, 0]);
    assert_eq!(format!("{list:?}"), "[30, 10, 20, 0]");
}

#[test]
fn iterators_meet_in_the_middle() {
    let list = list(0..3);
    let mut iter = list.iter();
    assert_eq!((iter.next(), iter.next_back(), iter.next()), (Some(&0), Some(&2), Some(&1)));
    assert_eq!((iter.next(), iter.next_back()), (None, None));
}

#[test]
fn each_value_is_dropped_once() {
    let counted = Rc::new(());
    let mut list = List::new();
    for _ in 0..5 {
        list.push_back(Rc::clone(&counted), GFP_KERNEL).unwrap();
    }
    let taken = list.pop_front();
    let mut keep = false;
    list.retain(|_| {
        keep = !keep;
        keep
    });
    assert_eq!(Rc::strong_count(&counted), 1 + 1 + 2);
    drop(taken);
    list.clear();
    assert_eq!(Rc::strong_count(&counted), 1);
    list.push_front(Rc::clone(&counted), GFP_KERNEL).unwrap();
    drop(list);
    assert_eq!(Rc::strong_count(&counted), 1);
}
