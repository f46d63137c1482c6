//! A bar chart as SVG: groups of bars from the left, the value at the end of each.

use std::fmt::Write as _;

/// Groups of bars that share a scale.
#[derive(Debug)]
pub(crate) struct Chart {
    pub(crate) title: &'static str,
    /// What the bars of each group are, in their order.
    pub(crate) series: Vec<&'static str>,
    pub(crate) groups: Vec<Group>,
}

/// One bar for each series; the last ones may be missing.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) values: Vec<f64>,
}

/// Told apart by people who do not see all colours (Okabe and Ito).
const COLOURS: [&str; 4] = ["#0072b2", "#e69f00", "#999999", "#56b4e9"];
/// The longest bar.
const LONGEST: f64 = 510.0;
/// A letter of a name.
const LETTER: f64 = 6.0;
const RIGHT: f64 = 90.0;
const BAR: f64 = 14.0;
const GAP: f64 = 12.0;
const TOP: f64 = 64.0;

impl Chart {
    pub(crate) fn svg(&self) -> String {
        let bars: usize = self.groups.iter().map(|group| group.values.len()).sum();
        let height = TOP + count(bars) * BAR + count(self.groups.len()) * GAP + 8.0;
        let most = self
            .groups
            .iter()
            .flat_map(|group| &group.values)
            .copied()
            .fold(1.0, f64::max);
        let letters = self.groups.iter().map(|group| group.name.chars().count()).max();
        let left = (count(letters.unwrap_or_default()) * LETTER + 26.0).max(260.0);
        let width = left + LONGEST + RIGHT;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
             font-size=\"12\" role=\"img\" aria-label=\"{0}\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
             <text x=\"16\" y=\"24\" font-size=\"15\" font-weight=\"bold\" fill=\"#111111\">{0}</text>\n",
            escape(self.title)
        );
        let mut x = 16.0;
        for (name, colour) in self.series.iter().zip(COLOURS) {
            // Writing to a String cannot fail.
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"36\" width=\"11\" height=\"11\" fill=\"{colour}\"/>\
                 <text x=\"{}\" y=\"46\" fill=\"#111111\">{}</text>",
                x + 16.0,
                escape(name)
            );
            x += 40.0 + count(name.len()) * 6.6;
        }
        let mut y = TOP;
        for group in &self.groups {
            let middle = y + count(group.values.len()) * BAR / 2.0 + 4.0;
            let name = escape(&group.name);
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\" fill=\"#111111\">{name}</text>",
                left - 10.0
            );
            for (value, colour) in group.values.iter().zip(COLOURS) {
                let length = value / most * LONGEST;
                let _ = writeln!(
                    svg,
                    "<rect x=\"{left}\" y=\"{y}\" width=\"{length:.1}\" height=\"{}\" fill=\"{colour}\"/>\
                     <text x=\"{:.1}\" y=\"{}\" fill=\"#111111\">{}</text>",
                    BAR - 2.0,
                    left + length + 6.0,
                    y + BAR - 4.0,
                    grouped(*value)
                );
                y += BAR;
            }
            y += GAP;
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// A number as people read it: 12,345 or 12.3.
pub(crate) fn grouped(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn count(items: usize) -> f64 {
    f64::from(u32::try_from(items).unwrap_or(u32::MAX))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
