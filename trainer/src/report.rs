//! What people look at: tables, the learning curve, and what samples say.

pub mod aggregate;
pub mod chart;
pub mod curve;
pub mod markdown;
pub mod statistics;
pub mod table;

/// A return or a value as people read it; a dash where there is none.
pub fn number(value: Option<f64>) -> String {
    // Adding zero turns −0 into 0.
    value.map_or("–".to_owned(), |value| {
        let rounded = (value * 1e4).round() / 1e4 + 0.0;
        format!("{rounded:.4}")
    })
}

/// A count with its thousands apart: `79,000`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Joins words for an enumeration of sizes: `2 × 3 × 3`.
pub fn product(sizes: impl IntoIterator<Item = usize>) -> String {
    let sizes: Vec<String> = sizes.into_iter().map(|size| size.to_string()).collect();
    sizes.join(" × ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(number(Some(-0.000_01)), "0.0000");
        assert_eq!(number(None), "–");
        assert_eq!(
            [0, 999, 1000, 79_000, 1_234_567].map(count),
            ["0", "999", "1,000", "79,000", "1,234,567"]
        );
    }
}
