//! What the command line asks for.

use crate::Outcome;

const HELP: &str = "flash_sale [--buyers N] [--units N] [--callers N] [--url postgres://…] [--baseline]";

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Arguments {
    /// How many want one unit each.
    pub(crate) buyers: usize,
    /// How many units there are.
    pub(crate) units: usize,
    /// How many buyers ask at the same time.
    pub(crate) callers: usize,
    /// The server; without it a temporary SQLite file is used.
    pub(crate) url: Option<String>,
    /// Whether the usual way is run too.
    pub(crate) is_compared: bool,
}

impl Arguments {
    pub(crate) fn read() -> Outcome<Self> {
        let mut arguments = Self {
            buyers: 2_000,
            units: 500,
            callers: 64,
            url: None,
            is_compared: false,
        };
        let mut given = std::env::args().skip(1);
        while let Some(name) = given.next() {
            match name.as_str() {
                "--buyers" => arguments.buyers = count(&name, given.next())?,
                "--units" => arguments.units = count(&name, given.next())?,
                "--callers" => arguments.callers = count(&name, given.next())?,
                "--url" => arguments.url = Some(given.next().ok_or("--url needs an address")?),
                "--baseline" => arguments.is_compared = true,
                _ => return Err(format!("unknown: {name}\n{HELP}").into()),
            }
        }
        Ok(arguments)
    }
}

fn count(name: &str, value: Option<String>) -> Outcome<usize> {
    let value = value.ok_or_else(|| format!("{name} needs a number\n{HELP}"))?;
    match value.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(format!("{name} needs a number above nothing, not {value:?}").into()),
    }
}
