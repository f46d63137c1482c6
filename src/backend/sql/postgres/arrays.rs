//! The payload as the arguments of the commit function: three arrays of values, and where in them each list begins.

use std::sync::LazyLock;

use sqlx::Encode;
use sqlx::Postgres;
use sqlx::Type;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::PgArgumentBuffer;
use sqlx::postgres::PgTypeInfo;
use uuid::Uuid;

use super::commit::STEPS;
use crate::backend::sql::plan::Payload;
use crate::backend::sql::program;
use crate::backend::sql::program::List;
use crate::backend::sql::rows::Values;
use crate::backend::sql::rows::Widths;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;

/// The lists in the order in which their rows are sent, with what a row of each has. A list that no step reads has nothing.
static LISTS: LazyLock<Vec<(List, Widths)>> = LazyLock::new(|| {
    let widths = |list| {
        let step = STEPS.iter().find(|step| step.list == list);
        step.map_or(Widths::default(), |step| Widths::of(&step.columns))
    };
    ORDER.iter().map(|list| (*list, widths(*list))).collect()
});

static ORDER: LazyLock<Vec<List>> = LazyLock::new(program::lists);

/// What is told of each list: its rows, and where the first of them and its values are in the arrays.
pub(super) const FIGURES: usize = 5;

/// Where a list's figures begin.
pub(super) fn place(list: List) -> Option<usize> {
    let position = ORDER.iter().position(|one| *one == list)?;
    Some(position * FIGURES + 1)
}

/// The payload as it is sent.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    pub(super) lists: Vec<i32>,
    /// Whose each row is.
    pub(super) sets: Vec<i32>,
    pub(super) ints: Array<i64>,
    pub(super) ids: Array<Uuid>,
    pub(super) texts: Array<String>,
}

/// Values of one type as an array of the server.
#[derive(Debug)]
pub(super) struct Array<T> {
    values: Values,
    of: std::marker::PhantomData<fn() -> T>,
}

impl Arguments {
    /// # Errors
    /// `Internal` when rows are not as their list says: they would be read as others.
    pub(super) fn new(payload: &Payload) -> Result<Self> {
        let mut all = Self::default();
        for (list, widths) in LISTS.iter() {
            // Arrays begin with 1.
            let values =
                [&all.ints.values, &all.ids.values, &all.texts.values].map(|values| values.count + 1);
            let rows = payload.get(*list);
            let count = rows.map_or(0, |rows| rows.count);
            for figure in [count, all.sets.len() + 1].into_iter().chain(values) {
                all.lists.push(i32::try_from(figure).map_err(|_| unfit(*list))?);
            }
            let Some(rows) = rows else { continue };
            let wanted = [1, widths.ints, widths.ids, widths.texts].map(|width| width * count);
            if wanted != [rows.sets.len(), rows.ints.count, rows.ids.count, rows.texts.count] {
                return Err(unfit(*list));
            }
            all.sets.extend(&rows.sets);
            all.ints.values.append(&rows.ints);
            all.ids.values.append(&rows.ids);
            all.texts.values.append(&rows.texts);
        }
        Ok(all)
    }
}

fn unfit(list: List) -> Error {
    Error::new(
        ErrorKind::Internal,
        format!("the rows of {list:?} do not fit their columns"),
    )
}

impl<T> Default for Array<T> {
    fn default() -> Self {
        Self {
            values: Values::default(),
            of: std::marker::PhantomData,
        }
    }
}

impl<T> Type<Postgres> for Array<T>
where
    Vec<T>: Type<Postgres>,
{
    fn type_info() -> PgTypeInfo {
        Vec::<T>::type_info()
    }
}

impl<T> Encode<'_, Postgres> for Array<T>
where
    T: Type<Postgres>,
{
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let element = T::type_info()
            .oid()
            .ok_or("the type of the values has no number")?;
        let count = i32::try_from(self.values.count)?;
        let dimensions = i32::from(count > 0);
        // What may be NULL shows in the values' lengths.
        buffer.extend_from_slice(&dimensions.to_be_bytes());
        buffer.extend_from_slice(&1_i32.to_be_bytes());
        buffer.extend_from_slice(&element.0.to_be_bytes());
        if count > 0 {
            buffer.extend_from_slice(&count.to_be_bytes());
            buffer.extend_from_slice(&1_i32.to_be_bytes());
            buffer.extend_from_slice(&self.values.bytes);
        }
        Ok(IsNull::No)
    }
}
