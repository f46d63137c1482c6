//! The commit's payload: lists of rows, as the values of three arrays.
//!
//! A value is its length and its bytes, as PostgreSQL's binary arrays carry it: what a write set's caller wrote is copied
//! from there to the wire as it is. SQLite's values are read back one by one.

use uuid::Uuid;

use super::tables::Column;
use super::tables::Kind;
use crate::model::Expiry;
use crate::model::Timestamp;
use crate::model::micros;

/// The length of what is NULL.
const NULL: i32 = -1;

/// Values of one type, one after the other.
#[derive(Debug, Default, Clone)]
pub(super) struct Values {
    pub(super) count: usize,
    pub(super) bytes: Vec<u8>,
}

impl Values {
    fn push(&mut self, value: Option<&[u8]>) {
        self.count += 1;
        let Some(value) = value else {
            return self.bytes.extend_from_slice(&NULL.to_be_bytes());
        };
        // What is longer is past the limit of bytes of a write set, and is refused for that.
        let length = i32::try_from(value.len()).unwrap_or(i32::MAX);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(value);
    }

    pub(super) fn append(&mut self, other: &Self) {
        self.count += other.count;
        self.bytes.extend_from_slice(&other.bytes);
    }
}

/// A list of rows; the values of a row are spread over the arrays by their types, in the order of the columns.
#[derive(Debug, Default, Clone)]
pub(super) struct Rows {
    pub(super) count: usize,
    /// Which set of the batch each row is of; rows of a set that has no batch yet have none.
    pub(super) sets: Vec<i32>,
    pub(super) ints: Values,
    pub(super) ids: Values,
    pub(super) texts: Values,
}

impl Rows {
    /// Starts a row.
    pub(super) fn row(&mut self) -> RowWriter<'_> {
        self.count += 1;
        RowWriter { rows: self }
    }

    pub(super) fn bytes(&self) -> usize {
        self.ints.bytes.len() + self.ids.bytes.len() + self.texts.bytes.len()
    }

    /// Starts a row of one set of a batch.
    pub(super) fn row_of(&mut self, set: i32) -> RowWriter<'_> {
        self.sets.push(set);
        self.row()
    }

    /// Takes the rows of one set of a batch in.
    pub(super) fn append(&mut self, other: &Self, set: i32) {
        self.count += other.count;
        self.sets.extend(std::iter::repeat_n(set, other.count));
        self.ints.append(&other.ints);
        self.ids.append(&other.ids);
        self.texts.append(&other.texts);
    }

    /// Every value of every row, in the order of the columns.
    #[cfg(feature = "sqlite")]
    pub(super) fn values<'a>(&'a self, columns: &'a [Column]) -> impl Iterator<Item = Option<Value<'a>>> {
        let mut ints = self.ints.bytes.as_slice();
        let mut ids = self.ids.bytes.as_slice();
        let mut texts = self.texts.bytes.as_slice();
        (0..self.count)
            .flat_map(move |_| columns)
            .map(move |column| match column.1 {
                Kind::Int | Kind::Expiry => next(&mut ints).and_then(|bytes| {
                    let bytes = bytes.try_into().ok()?;
                    Some(Value::Int(i64::from_be_bytes(bytes)))
                }),
                Kind::Id => next(&mut ids).and_then(|bytes| Uuid::from_slice(bytes).ok().map(Value::Id)),
                Kind::Text => {
                    next(&mut texts).and_then(|bytes| std::str::from_utf8(bytes).ok().map(Value::Text))
                }
            })
    }
}

/// A value as it was written.
#[cfg(feature = "sqlite")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Int(i64),
    Id(Uuid),
    Text(&'a str),
}

#[cfg(feature = "sqlite")]
fn next<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
        *rest = after;
        return None;
    };
    let (value, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(value)
}

/// Which of the arrays a column's values are in, and their position among those of a row.
#[cfg(feature = "postgres")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Ints(usize),
    Ids(usize),
    Texts(usize),
}

/// How many values of a row are in each array.
#[cfg(feature = "postgres")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Widths {
    pub(super) ints: usize,
    pub(super) ids: usize,
    pub(super) texts: usize,
}

#[cfg(feature = "postgres")]
impl Widths {
    /// Of rows with these columns.
    pub(super) fn of(columns: &[Column]) -> Self {
        let mut widths = Self::default();
        for column in columns {
            widths.lane(column.1);
        }
        widths
    }

    /// Where the next column's values are.
    pub(super) fn lane(&mut self, kind: Kind) -> Lane {
        let raise = |width: &mut usize| {
            *width += 1;
            *width - 1
        };
        match kind {
            Kind::Int | Kind::Expiry => Lane::Ints(raise(&mut self.ints)),
            Kind::Id => Lane::Ids(raise(&mut self.ids)),
            Kind::Text => Lane::Texts(raise(&mut self.texts)),
        }
    }
}

/// Writes the values of one row.
#[derive(Debug)]
pub(super) struct RowWriter<'a> {
    rows: &'a mut Rows,
}

impl RowWriter<'_> {
    pub(super) fn int(&mut self, value: i64) {
        self.rows.ints.push(Some(&value.to_be_bytes()));
    }

    pub(super) fn opt_int(&mut self, value: Option<i64>) {
        match value {
            Some(value) => self.int(value),
            None => self.rows.ints.push(None),
        }
    }

    pub(super) fn id(&mut self, value: Uuid) {
        self.rows.ids.push(Some(value.as_bytes()));
    }

    pub(super) fn opt_id(&mut self, value: Option<Uuid>) {
        self.rows
            .ids
            .push(value.as_ref().map(|id| id.as_bytes().as_slice()));
    }

    pub(super) fn text(&mut self, value: &str) {
        self.rows.texts.push(Some(value.as_bytes()));
    }

    pub(super) fn opt_text(&mut self, value: Option<&str>) {
        self.rows.texts.push(value.map(str::as_bytes));
    }

    /// A document, as text.
    pub(super) fn json<T: serde::Serialize + ?Sized>(&mut self, value: &T) {
        self.opt_text(serde_json::to_string(value).ok().as_deref());
    }

    pub(super) fn time(&mut self, value: Timestamp) {
        self.int(micros(value));
    }

    /// A moment, or the distance from the store's clock as a negative number.
    pub(super) fn expiry(&mut self, value: Expiry) {
        match value {
            Expiry::At(at) => self.int(micros(at)),
            Expiry::In(distance) => self.distance(distance),
        }
    }

    /// The distance from the store's clock, at least one microsecond.
    pub(super) fn distance(&mut self, distance: std::time::Duration) {
        let micros = i64::try_from(distance.as_micros()).unwrap_or(i64::MAX);
        // Zero is not negative: a life that is over at once lasts a microsecond.
        self.int(-micros.clamp(1, MAX_DISTANCE));
    }
}

/// A century: far enough for any life time, and no sum with it overflows.
pub(super) const MAX_DISTANCE: i64 = 100 * 366 * 86_400 * 1_000_000;

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use super::Rows;
    use super::Value;
    use crate::backend::sql::tables::Column;
    use crate::backend::sql::tables::Kind;
    use uuid::Uuid;

    const COLUMNS: [Column; 4] = [
        Column("sku", Kind::Text),
        Column("units", Kind::Int),
        Column("owner", Kind::Id),
        Column("until", Kind::Expiry),
    ];

    fn write(rows: &mut Rows, text: &str, owner: Option<Uuid>) {
        let mut row = rows.row();
        row.text(text);
        row.opt_int(None);
        row.opt_id(owner);
        row.int(-7);
    }

    #[test]
    fn values_come_back_in_the_order_of_the_columns_whatever_the_text() {
        let (mut rows, mut more) = (Rows::default(), Rows::default());
        write(&mut rows, "", None);
        write(
            &mut more,
            "a \"quoted\\ line\"\n\u{1}\u{1F600} é",
            Some(Uuid::max()),
        );
        rows.append(&more, 1);
        let values: Vec<_> = rows.values(&COLUMNS).collect();
        let expected = [
            Some(Value::Text("")),
            None,
            None,
            Some(Value::Int(-7)),
            Some(Value::Text("a \"quoted\\ line\"\n\u{1}\u{1F600} é")),
            None,
            Some(Value::Id(Uuid::max())),
            Some(Value::Int(-7)),
        ];
        assert_eq!(values, expected);
        assert_eq!(rows.count, 2);
    }
}
