//! The rules for free text. PostgreSQL cannot store U+0000 in text or jsonb, so no text has it on any store.

use std::ops::RangeInclusive;

use crate::{Error, Result};

/// Text of this many characters, line breaks allowed.
pub(crate) fn check_text(field: &'static str, text: &str, length: RangeInclusive<usize>) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::invalid(field, "must not contain the character U+0000"));
    }
    let count = text.chars().count();
    if count < *length.start() && count == 0 {
        return Err(Error::invalid(field, "must not be empty"));
    }
    if !length.contains(&count) {
        let (least, most) = length.into_inner();
        return Err(Error::invalid(
            field,
            format!("must have {least} to {most} characters, has {count}"),
        ));
    }
    Ok(())
}

/// Text of this many characters on one line, without any control character.
pub(crate) fn check_line(field: &'static str, text: &str, length: RangeInclusive<usize>) -> Result<()> {
    check_text(field, text, length)?;
    if text.chars().any(char::is_control) {
        return Err(Error::invalid(field, "must not contain control characters"));
    }
    Ok(())
}

/// Foreign text made storable: control characters become spaces, what is past the limit is cut.
pub(crate) fn cut_line(text: &str, most: usize) -> String {
    text.chars()
        .take(most)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_refused_and_the_field_named() {
        let error = check_text("title", "a\0b", 1..=9).unwrap_err();
        assert_eq!(error.invalid_field(), Some("title"));
    }

    #[test]
    fn length_counts_characters() {
        assert!(check_text("title", "äöü", 1..=3).is_ok());
        assert!(check_text("title", "äöüß", 1..=3).is_err());
        assert!(check_text("title", "", 1..=3).is_err());
        assert!(check_text("title", "", 0..=3).is_ok());
    }

    #[test]
    fn a_line_has_no_breaks_and_text_may() {
        assert!(check_line("title", "a\nb", 1..=9).is_err());
        assert!(check_text("description", "a\nb", 1..=9).is_ok());
    }

    #[test]
    fn cut_line_makes_any_text_storable() {
        assert_eq!(cut_line("a\0b\ncd", 5), "a b c");
    }
}
