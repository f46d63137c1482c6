//! What was found out about the tables of a shop, for people and for programs.

use std::fmt;

/// How the tables of a shop are, compared with what is needed and what is asked for. `Display` shows it as a table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TablesReport {
    /// Each table of the shop.
    pub tables: Vec<TableReport>,
}

/// How one table is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableReport {
    /// Its full name.
    pub name: String,
    /// Whether it is there.
    pub state: TableState,
    /// What differs, the gravest first.
    pub differences: Vec<Difference>,
}

/// Whether a table is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableState {
    /// There is none of this name in the region.
    Missing,
    /// It takes no reads and writes yet, or not any more.
    NotActive,
    /// It takes reads and writes.
    Active,
}

/// Something that is not as it is needed or asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// What it is about: `keys`, `index index-1`, `attribute pk`, `stream`, `ttl`, `capacity`, `recovery`, `encryption`,
    /// `protection`, `tag NAME`.
    pub item: String,
    /// How it should be.
    pub wanted: String,
    /// How it is.
    pub found: String,
    /// Whether the store cannot work so. Whatever is only asked for by
    /// [`TableOptions`](crate::backend::dynamo::TableOptions) keeps nothing from working.
    pub breaks: bool,
}

impl TablesReport {
    /// Whether a store can be opened on the tables: all are there, and none has a difference that breaks it.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.tables.iter().all(|table| {
            table.state == TableState::Active && !table.differences.iter().any(|difference| difference.breaks)
        })
    }

    /// Whether the tables are exactly as needed and asked for.
    #[must_use]
    pub fn is_as_asked(&self) -> bool {
        let mut tables = self.tables.iter();
        tables.all(|table| table.state == TableState::Active && table.differences.is_empty())
    }
}

impl TableState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::NotActive => "not active",
            Self::Active => "active",
        }
    }
}

impl fmt::Display for TablesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![["table", "state", "what", "wanted", "found", ""].map(str::to_owned)];
        for table in &self.tables {
            let head = [table.name.clone(), table.state.as_str().to_owned()];
            if table.differences.is_empty() {
                let [name, state] = head.clone();
                rows.push([
                    name,
                    state,
                    String::new(),
                    String::new(),
                    String::new(),
                    String::new(),
                ]);
            }
            for (number, difference) in table.differences.iter().enumerate() {
                let [name, state] = if number == 0 {
                    head.clone()
                } else {
                    Default::default()
                };
                let breaks = if difference.breaks { "breaks" } else { "" };
                rows.push([
                    name,
                    state,
                    difference.item.clone(),
                    difference.wanted.clone(),
                    difference.found.clone(),
                    breaks.to_owned(),
                ]);
            }
        }
        let widths: [usize; 6] = std::array::from_fn(|column| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or_default()
        });
        for row in &rows {
            let cells = row
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, state: TableState, differences: Vec<Difference>) -> TableReport {
        TableReport {
            name: name.to_owned(),
            state,
            differences,
        }
    }

    fn difference(item: &str, breaks: bool) -> Difference {
        Difference {
            item: item.to_owned(),
            wanted: "on".to_owned(),
            found: "off".to_owned(),
            breaks,
        }
    }

    #[test]
    fn what_breaks_is_told_from_what_was_only_asked_for() {
        let report = |state, differences| TablesReport {
            tables: vec![table("shop-carts", state, differences)],
        };
        let fine = report(TableState::Active, Vec::new());
        assert!(fine.is_usable() && fine.is_as_asked());
        let asked = report(TableState::Active, vec![difference("recovery", false)]);
        assert!(asked.is_usable() && !asked.is_as_asked());
        assert!(!report(TableState::Active, vec![difference("keys", true)]).is_usable());
        assert!(!report(TableState::Missing, Vec::new()).is_usable());
    }

    #[test]
    fn a_line_for_each_difference() {
        let report = TablesReport {
            tables: vec![
                table("shop-carts", TableState::Active, Vec::new()),
                table(
                    "shop-orders",
                    TableState::Active,
                    vec![difference("stream", true), difference("ttl", false)],
                ),
            ],
        };
        let text = report.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[2].starts_with("shop-orders  active  stream  on      off    breaks"));
        assert!(lines[3].starts_with("                     ttl"));
    }
}
