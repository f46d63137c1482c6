//! Tables for a terminal and for Markdown, and the files of docs/benchmarks.

use std::path::Path;

use super::Result;

/// Rows of text under a head.
#[derive(Debug)]
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self {
            head: head.iter().map(|&name| name.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// As a person reads it in a terminal.
    pub(crate) fn text(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(&self.head);
        table.add_rows(&self.rows);
        table.to_string()
    }

    /// The first column to the left, numbers to the right.
    pub(crate) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = "|---|".to_owned() + &"---:|".repeat(self.head.len().saturating_sub(1)) + "\n";
        line(&self.head) + &rule + &self.rows.iter().map(|row| line(row)).collect::<String>()
    }
}

/// Writes `docs/benchmarks/NAME.md` and its chart beside it.
pub(crate) fn write_report(name: &str, markdown: &str, svg: &str) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(format!("{name}.md")), markdown)?;
    std::fs::write(folder.join(format!("{name}.svg")), svg)?;
    println!("written: docs/benchmarks/{name}.md and {name}.svg");
    Ok(())
}
