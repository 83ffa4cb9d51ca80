//! "Did you mean …": the nearest known word to a mistyped one.

/// The candidate nearest to `word` in edit distance, ignoring case, if it is near enough to be
/// a slip: at most one edit in three letters.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| distance * 3 <= candidate.chars().count().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The least number of insertions, deletions, substitutions and swaps of neighbours that turn `a` into
/// `b`, no letter touched twice (Damerau 1964), row by row of the dynamic programme.
fn edit_distance(a: &str, b: &str) -> usize {
    let [a, b]: [Vec<char>; 2] = [a, b].map(|word| word.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let above = &rows[i - 1];
            let substituted = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = substituted.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 2..i] == [b[j - 1], b[j - 2]] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance_on_known_pairs() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("abc", "abc"), 0);
        assert_eq!(edit_distance("bacth", "batch"), 1);
        // Not 2, as it would be if a swapped pair could be parted.
        assert_eq!(edit_distance("ca", "abc"), 3);
    }

    #[test]
    fn suggests_slips_and_nothing_else() {
        let words = ["climbing", "climbing-xor", "chsh"];
        assert_eq!(nearest("Climbng", words), Some("climbing"));
        assert_eq!(nearest("climbing-xr", words), Some("climbing-xor"));
        assert_eq!(nearest("tiger", words), None);
    }
}
