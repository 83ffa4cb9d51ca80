//! Tables in Markdown.

/// A table's heading.
pub fn table(heading: &[&str]) -> String {
    let cells = heading.iter().map(|cell| (*cell).to_owned());
    line(cells) + "|" + &"---|".repeat(heading.len()) + "\n"
}

/// A table's row.
pub fn line(cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<String> = cells.into_iter().collect();
    format!("| {} |\n", cells.join(" | "))
}
