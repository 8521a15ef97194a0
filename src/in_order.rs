//! Sorted lists that are asked about in their order: what is asked for next is mostly one of the next few, and a search of all
//! would wait for memory at each step.

/// How many of a list are looked at one after the other before it is searched.
const AHEAD: usize = 8;

/// The index of the first in a sorted list that is not `before`: mostly one of the next few from an index on.
pub(crate) fn first_from<T>(list: &[T], index: usize, before: impl Fn(&T) -> bool) -> usize {
    let index = if index > 0 && list.get(index - 1).is_none_or(|last| !before(last)) { 0 } else { index };
    let ahead = list.get(index..).unwrap_or_default();
    match ahead.iter().take(AHEAD).position(|item| !before(item)) {
        Some(near) => index + near,
        None => index + ahead.partition_point(before),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_found_from_wherever_it_is_looked_for() {
        let list: Vec<u32> = (0..40).map(|number| number / 3 * 2).collect();
        for number in 0..30 {
            let before = |item: &u32| *item < number;
            for index in 0..=list.len() + 1 {
                assert_eq!(
                    first_from(&list, index, before),
                    list.partition_point(before),
                    "{number} {index}"
                );
            }
        }
    }
}
