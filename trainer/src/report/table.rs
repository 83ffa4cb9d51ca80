//! Plain tables: aligned columns, no frames, readable in a log as on a terminal.

/// Which side a column leans on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table under construction.
pub struct Table {
    columns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns: heading and side.
    pub fn new<const C: usize>(columns: [(&str, Align); C]) -> Self {
        Self {
            columns: columns.map(|(_, align)| align).to_vec(),
            rows: vec![columns.map(|(heading, _)| heading.to_owned()).to_vec()],
        }
    }

    /// Adds a row of as many cells as there are columns.
    pub fn row<const C: usize>(&mut self, cells: [String; C]) {
        self.rows.push(cells.to_vec());
    }

    /// The text: two spaces before every row and between columns, none at a line's end.
    pub fn render(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&self.columns).zip(&widths);
            let cells: String = cells
                .map(|((cell, align), &width)| match align {
                    Align::Left => format!("  {cell:<width$}"),
                    Align::Right => format!("  {cell:>width$}"),
                })
                .collect();
            format!("{}\n", cells.trim_end())
        };
        self.rows.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new([("arm", Align::Left), ("value", Align::Right)]);
        table.row(["1 annealed".to_owned(), "10".to_owned()]);
        table.row(["2".to_owned(), "–".to_owned()]);
        assert_eq!(
            table.render(),
            "  arm         value\n  1 annealed     10\n  2               –\n"
        );
    }
}
