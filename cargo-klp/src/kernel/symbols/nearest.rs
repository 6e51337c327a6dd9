//! Suggestions for a name that does not exist.

/// The number of names to show.
const MOST_SHOWN: usize = 5;

/// The names with a similar spelling, the most similar first, without the name itself.
pub(crate) fn nearest<T: AsRef<str> + Ord>(name: &str, others: impl IntoIterator<Item = T>) -> Vec<T> {
    let distance = |other: &str| {
        let first = |name: &str| name.trim_start_matches('_').chars().next();
        let is_similar =
            other.len().abs_diff(name.len()) <= 3 && first(other) == first(name) && other != name;
        let distance = is_similar.then(|| strsim::levenshtein(name, other))?;
        (distance <= 1 + name.len() / 6).then_some(distance)
    };
    let mut near: Vec<(usize, T)> =
        others.into_iter().filter_map(|other| Some((distance(other.as_ref())?, other))).collect();
    near.sort();
    near.dedup();
    near.into_iter().map(|(_, other)| other).take(MOST_SHOWN).collect()
}

/// The nearest names as a part of a message; `place` says where they are: "there", "in modules".
pub(crate) fn message(place: &str, names: &[String]) -> String {
    match names {
        [] => format!("nothing {place} has a similar name"),
        [name] => format!("the nearest name {place} is {name}"),
        names => format!("the nearest names {place} are {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_comes_first() {
        let names = ["nf_tables", "nf_table_x", "nft_tables", "nf_table", "snd_tables", "xfs"];
        assert_eq!(nearest("nf_table", names), ["nf_tables", "nf_table_x", "nft_tables"]);
    }

    #[test]
    fn one_name_and_several() {
        assert_eq!(message("there", &["a".into()]), "the nearest name there is a");
        assert_eq!(
            message("in modules", &["x:a".into(), "x:b".into()]),
            "the nearest names in modules are x:a, x:b"
        );
        assert_eq!(message("there", &[]), "nothing there has a similar name");
    }
}
